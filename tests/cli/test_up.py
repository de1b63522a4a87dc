"""`deployctl up`, with every real process."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.processes import GONE_WITHIN_S, free_port

# Six programs start, some of them several times.
pytestmark = pytest.mark.timeout(1200)
READY_WITHIN_S = 400
ANSWERS_WITHIN_S = 30
ALL = {"postgres", "redis", "web", "worker", "maintenance", "beat"}


class Up:
    """A `deployctl up` in a process of its own."""

    def __init__(self, data: Path, port: int, output: Path, *options: str, **environment: str) -> None:
        self.port, self.output = port, output
        # Of this test run's own servers nothing may leak in.
        ours = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DEPLOYCTL_", "TEST_", "PYTEST_")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        argv = [sys.executable, "-c", "from deployctl.cli import main; main()", "up"]
        argv += ["--data", str(data), "--port", str(port), "--workers", "1", *options]
        with output.open("wb") as stream:
            self.process = psutil.Popen(
                argv, env=inherited | environment, stdout=stream, stderr=subprocess.STDOUT
            )

    def says(self, pattern: str, within_s: float = READY_WITHIN_S) -> re.Match[str]:
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            ended = self.process.poll() is not None
            text = self.output.read_text()
            if found := re.search(pattern, text, re.MULTILINE):
                return found
            if ended:
                break
            time.sleep(0.1)
        raise AssertionError(f"{pattern!r} is not in:\n{text}")

    def family(self) -> list[psutil.Process]:
        return self.process.children(recursive=True)

    def one(self, program: str) -> psutil.Process:
        signs = {"web": "uvicorn", "maintenance": "--hostname maintenance@", "postgres": "bin/postgres"}
        (supervisord,) = self.process.children()
        (found,) = (one for one in supervisord.children() if signs[program] in " ".join(one.cmdline()))
        return found

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=ANSWERS_WITHIN_S):
                return True
        except urllib.error.HTTPError as error:
            with error:
                return error.code < 500
        except OSError:
            return False

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return int(self.process.wait(GONE_WITHIN_S))


StartUp = Callable[..., Up]


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder that does not exist yet, below one that every account can enter."""
    above = Path(tempfile.mkdtemp(prefix="deployctl-up-"))
    above.chmod(0o755)
    yield above / "data"
    shutil.rmtree(above, ignore_errors=True)


@pytest.fixture
def up(data: Path) -> Iterator[StartUp]:
    """Start `deployctl up`, on a free port unless told otherwise; everything is stopped afterwards."""
    started: list[Up] = []

    def start(*options: str, port: int | None = None, folder: Path = data, **environment: str) -> Up:
        one = Up(folder, port or free_port(), data.parent / f"output-{len(started)}", *options, **environment)
        started.append(one)
        return one

    yield start
    for one in started:
        if one.process.is_running():
            one.end()


def gone(processes: list[psutil.Process], within_s: float = GONE_WITHIN_S) -> bool:
    _, left = psutil.wait_procs(processes, timeout=within_s)
    return not [one for one in left if lives(one)]


def lives(process: psutil.Process) -> bool:
    """Whether it does something yet: of one that has ended, its parent may not have taken notice."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def shown_by(process: psutil.Process) -> str:
    """What everybody may read of a process; nothing of a server's session that has just ended."""
    try:
        return "\0".join(process.cmdline()) + repr(process.environ())
    except psutil.NoSuchProcess:
        return ""


def test_it_starts_shows_how_to_sign_in_and_stops_everything(up: StartUp, data: Path) -> None:
    # What somebody's shell may hold: another database, a proxy. What an installation behind a proxy is given.
    elsewhere = {"DATABASE_URL": "postgresql://somebody@elsewhere.invalid/other"}
    running = up(**elsewhere, http_proxy="http://127.0.0.1:1", ALLOWED_HOSTS="deployctl.example.org")
    assert running.says(r"^ready http://127\.0\.0\.1:(\d+)$").group(1) == str(running.port)
    password = running.says(r"^  admin@localhost  (\S{20})$").group(1)
    assert running.answers()
    assert (data / "environment").stat().st_mode & 0o777 == 0o600
    assert (data / "signing-key.pem").stat().st_mode & 0o777 == 0o600
    assert (data / "heads").is_dir()

    family = running.family()
    secrets = {password, *re.findall(r"(?:KEY=|:)([A-Za-z0-9_=-]{32,})", (data / "environment").read_text())}
    assert len(secrets) == 5, "two keys, two server passwords, and the person's"
    shown = "".join(shown_by(one) for one in family)
    assert str(data) in shown
    logs = "".join(path.read_text(errors="replace") for path in (data / "logs").iterdir())
    assert not [secret for secret in secrets if secret in shown or secret in logs]

    assert running.end(signal.SIGTERM) == 0
    assert gone(family, within_s=0)
    order = re.findall(r"stopped: (\w+)", (data / "logs" / "supervisord.log").read_text())
    assert set(order) == ALL
    assert order[-2:] == ["redis", "postgres"]

    again = up()
    again.says(r"^Sign in with your account")
    assert again.answers()
    again.process.send_signal(signal.SIGINT)
    again.process.send_signal(signal.SIGINT)
    assert again.process.wait(GONE_WITHIN_S) == 0


def test_conflicts_are_reported_before_anything_starts(up: StartUp, data: Path) -> None:
    running = up()
    running.says("^ready ")
    second = up()
    second.says(
        rf"data folder {data} is already in use by process {running.process.pid}\. Nothing was changed"
    )
    assert second.process.wait(GONE_WITHIN_S) == 1
    other = data.parent / "other"
    third = up(port=running.port, folder=other)
    third.says(rf"Port {running.port} on 127\.0\.0\.1 is in use.* PORT={running.port + 1} make run")
    assert third.process.wait(GONE_WITHIN_S) == 1
    assert not other.exists()
    assert running.answers(), "it was not disturbed"
    running.end()
    up("--demo").says("an installation without demo data.* Nothing was changed")
    environment = data / "environment"
    environment.write_text(environment.read_text().replace("DEPLOYCTL_DEMO=0", "DEPLOYCTL_DEMO=1"))
    up().says("contains a demo.* Nothing was changed")


def test_a_killed_program_is_restarted_and_a_killed_up_leaves_no_process(up: StartUp, data: Path) -> None:
    running = up()
    running.says("^ready ")
    for program in ("web", "maintenance", "postgres"):
        running.one(program).kill()
        running.says(rf"^{program} ended unexpectedly \(terminated by SIGKILL\) and is being restarted")
        deadline = time.monotonic() + READY_WITHIN_S
        while not running.answers():
            assert time.monotonic() < deadline, f"without {program} for too long"
            time.sleep(0.2)

    family = running.family()
    assert len(family) > len(ALL)
    running.process.kill()
    assert gone(family)
    up().says("^ready ")


def test_it_survives_the_end_of_its_terminal_under_nohup(up: StartUp) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what nohup does
    try:
        running = up()
    finally:
        signal.signal(signal.SIGHUP, before)
    running.says("^ready ")
    running.process.send_signal(signal.SIGHUP)
    time.sleep(1)
    assert running.answers()
    assert running.end() == 0


def test_an_invalid_setting_stops_everything_with_a_message(up: StartUp) -> None:
    broken = up(LOG_LEVEL="nonsense")
    broken.says("could not be prepared, so everything was stopped")
    assert broken.process.wait(GONE_WITHIN_S) == 1


def test_an_unusable_data_folder_is_reported(up: StartUp, data: Path) -> None:
    data.write_text("a file is in the way")
    refused = up(folder=data / "below")
    refused.says("can't be used: Not a directory. Nothing was started")
    assert refused.process.wait(GONE_WITHIN_S) == 1
