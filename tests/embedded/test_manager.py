"""The process manager and its supervision, with small test programs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deployctl.embedded import parent_death
from deployctl.embedded.errors import EmbeddedError
from deployctl.embedded.manager import ProcessManager, State
from deployctl.embedded.programs import Program, configuration
from deployctl.embedded.supervision import RestartLimitReached, Supervisor, tail
from tests.embedded.conftest import is_gone
from tests.waiting import until

# Logs its start and its end, so that the order can be checked afterwards.
LOGGER = """
import signal, sys, time
from pathlib import Path
def write(word):
    with Path(sys.argv[1]).open("a") as log:
        log.write(f"{word} {sys.argv[2]}\\n")
def end(*_):
    time.sleep(0.2)
    write("end")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
write("begin")
print("hello from", sys.argv[2], flush=True)
time.sleep(600)
"""
# Runs long enough to be seen, but too short to count as started.
FAILING = "import time; print('cannot go on: no disk'); time.sleep(0.5); exit(7)"

MANAGE = """
import sys, time
from pathlib import Path
from deployctl.embedded.manager import ProcessManager
from deployctl.embedded.programs import Program
folder = Path(sys.argv[1])
manager = ProcessManager([Program("sleeper", sys.argv[2:], "TERM", 5, "one")],
                         run_folder=folder, logs=folder)
manager.open({"PATH": "/usr/bin:/bin"})
manager.start("sleeper")
while not (pid := manager.statuses()[0].pid):
    time.sleep(0.05)
print(pid, manager._process.pid, flush=True)
time.sleep(600)
"""


def check_until_given_up(supervisor: Supervisor) -> None:
    until(lambda: supervisor.check())


Open = Callable[..., ProcessManager]


@pytest.fixture
def open_manager(folder: Path) -> Iterator[Open]:
    """Return a function that opens a process manager and starts its programs."""
    managers: list[ProcessManager] = []

    def make(*programs: Program, run_folder: Path = folder) -> ProcessManager:
        manager = ProcessManager(programs, run_folder=run_folder, logs=folder)
        managers.append(manager)
        manager.open({"PATH": os.environ["PATH"]})
        for program in programs:
            manager.start(program.name)
        return manager

    yield make
    for manager in managers:
        manager.close()


def logger(folder: Path, name: str, group: str) -> Program:
    script = folder / "logger.py"
    script.write_text(LOGGER)
    argv = parent_death.command([sys.executable, str(script), str(folder / "log"), name], signal_name="TERM")
    return Program(name, argv, "TERM", 60, group)


def started(folder: Path, *names: str) -> Callable[[], bool]:
    log = folder / "log"
    return lambda: log.exists() and all(f"begin {name}\n" in log.read_text() for name in names)


def test_groups_of_programs_stop_in_reverse_order(open_manager: Open, folder: Path) -> None:
    manager = open_manager(
        logger(folder, "database", "one"), logger(folder, "web", "two"), logger(folder, "worker", "two")
    )
    until(started(folder, "database", "web", "worker"))
    manager.close()
    ends = [line for line in (folder / "log").read_text().splitlines() if line.startswith("end")]
    assert ends[2] == "end database"
    assert set(ends[:2]) == {"end web", "end worker"}


def test_a_killed_program_is_restarted_and_reported_once(open_manager: Open, folder: Path) -> None:
    manager = open_manager(logger(folder, "web", "one"))
    messages: list[str] = []
    supervisor = Supervisor(manager, logs=folder, say=messages.append)

    def runs() -> bool:
        supervisor.check()
        return manager.statuses()[0].state is State.RUNNING

    until(lambda: runs() and "hello from web" in (folder / "web.log").read_text())
    first = manager.statuses()[0].pid
    os.kill(first, signal.SIGKILL)
    until(lambda: runs() and manager.statuses()[0].pid != first)
    supervisor.check()
    assert len(messages) == 1
    assert messages[0].startswith("web ended unexpectedly (terminated by SIGKILL) and is being restarted")
    assert "hello from web" in messages[0]


def test_a_failing_program_is_given_up_with_the_end_of_its_log(
    open_manager: Open, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployctl.embedded.programs.RETRIES", 1)  # the delay grows with each retry
    manager = open_manager(
        Program(
            "web", parent_death.command([sys.executable, "-c", FAILING], signal_name="TERM"), "TERM", 5, "one"
        )
    )
    messages: list[str] = []
    supervisor = Supervisor(manager, logs=folder, say=messages.append)
    with pytest.raises(
        RestartLimitReached, match=r"web keeps ending \(exit status 7\)(.|\n)*cannot go on: no disk"
    ):
        check_until_given_up(supervisor)
    assert messages


def test_the_end_of_the_process_manager_is_detected(open_manager: Open, folder: Path) -> None:
    manager = open_manager(logger(folder, "web", "one"))
    until(started(folder, "web"))
    pid = manager.statuses()[0].pid
    supervisord = int((folder / "supervisord.pid").read_text())
    os.kill(supervisord, signal.SIGKILL)
    until(lambda: is_gone(pid))
    with pytest.raises(RestartLimitReached, match="The process manager and its programs ended unexpectedly"):
        check_until_given_up(Supervisor(manager, logs=folder, say=print))


def test_all_programs_end_when_the_parent_is_killed(folder: Path) -> None:
    sleeper = parent_death.command(["/bin/sleep", "600"], signal_name="TERM")
    parent = subprocess.Popen(
        [sys.executable, "-c", MANAGE, str(folder), *sleeper], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent.stdout as output:
        pids = [int(word) for word in output.readline().split()]
    assert len(pids) == 2
    parent.kill()
    parent.wait()
    until(lambda: all(is_gone(pid) for pid in pids))


def test_a_leftover_process_manager_is_stopped(open_manager: Open, folder: Path) -> None:
    manager = open_manager(logger(folder, "web", "one"))
    until(started(folder, "web"))
    pid = manager.statuses()[0].pid
    assert ProcessManager.end_leftover(folder)
    assert is_gone(pid)
    assert not ProcessManager.end_leftover(folder)


def test_a_folder_with_a_very_long_name_works(open_manager: Open, folder: Path) -> None:
    deep = folder / ("long" * 30)
    deep.mkdir()
    manager = open_manager(logger(folder, "web", "one"), run_folder=deep)
    until(started(folder, "web"))
    assert manager.is_running


def test_only_the_owner_can_access_the_process_manager(open_manager: Open, folder: Path) -> None:
    open_manager(logger(folder, "web", "one"))
    assert (folder / "supervisor.sock").stat().st_mode & 0o777 == 0o600
    assert (folder / "supervisord.conf").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["100% mine", "quote'd", "back\\slash", 'double"d', "#1"])
def test_unusual_folder_names_reach_the_program_unchanged(
    open_manager: Open, folder: Path, name: str
) -> None:
    odd = folder / name
    odd.mkdir()
    open_manager(logger(odd, "web", "one"))
    until(started(odd, "web"))


def test_an_unsupported_folder_name_is_rejected(folder: Path) -> None:
    program = replace(logger(folder, "web", "one"), argv=["/bin/echo", "number #1"])
    with pytest.raises(EmbeddedError, match="Nothing was started"):
        configuration([program], socket=folder, pid_file=folder, logs=folder)


def test_tail_reads_a_limited_part_and_accepts_a_missing_file(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    assert tail(log) == []
    log.write_bytes(b"x" * 100_000 + "\nén\n\nlast\n".encode())
    assert tail(log, 2) == ["én", "last"]
