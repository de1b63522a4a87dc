"""`deployctl up` with all its real processes."""

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

from tests.processes import EXIT_TIMEOUT_S, free_port

# Six programs start, some several times.
pytestmark = pytest.mark.timeout(1200)
READY_TIMEOUT_S = 400
RESPONSE_TIMEOUT_S = 30
ALL = {"postgres", "redis", "web", "worker", "maintenance", "beat"}


class Up:
    """A `deployctl up` in a separate process."""

    def __init__(self, data: Path, port: int, output: Path, *options: str, **environment: str) -> None:
        self.port, self.output = port, output
        # It must not inherit the settings of this test run.
        excluded = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DEPLOYCTL_", "TEST_", "PYTEST_")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(excluded)}
        argv = [sys.executable, "-c", "from deployctl.cli import main; main()", "up"]
        argv += ["--data", str(data), "--port", str(port), "--workers", "1", *options]
        with output.open("wb") as stream:
            self.process = psutil.Popen(
                argv, env=inherited | environment, stdout=stream, stderr=subprocess.STDOUT
            )

    def wait_for_output(self, pattern: str, timeout_s: float = READY_TIMEOUT_S) -> re.Match[str]:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            ended = self.process.poll() is not None
            text = self.output.read_text()
            if found := re.search(pattern, text, re.MULTILINE):
                return found
            if ended:
                break
            time.sleep(0.1)
        raise AssertionError(f"{pattern!r} is not in:\n{text}")

    def descendants(self) -> list[psutil.Process]:
        return self.process.children(recursive=True)

    def process_of(self, program: str) -> psutil.Process:
        signs = {"web": "uvicorn", "maintenance": "--hostname maintenance@", "postgres": "bin/postgres"}
        (supervisord,) = self.process.children()
        (found,) = (one for one in supervisord.children() if signs[program] in " ".join(one.cmdline()))
        return found

    def responds(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=RESPONSE_TIMEOUT_S):
                return True
        except urllib.error.HTTPError as error:
            with error:
                return error.code < 500
        except OSError:
            return False

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return int(self.process.wait(EXIT_TIMEOUT_S))


StartUp = Callable[..., Up]


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder that does not exist yet, below one that every account can enter."""
    parent = Path(tempfile.mkdtemp(prefix="deployctl-up-"))
    parent.chmod(0o755)
    yield parent / "data"
    shutil.rmtree(parent, ignore_errors=True)


@pytest.fixture
def up(data: Path) -> Iterator[StartUp]:
    """Return a function that starts `deployctl up`, by default on a free port. It is stopped afterwards."""
    started: list[Up] = []

    def start(*options: str, port: int | None = None, folder: Path = data, **environment: str) -> Up:
        one = Up(folder, port or free_port(), data.parent / f"output-{len(started)}", *options, **environment)
        started.append(one)
        return one

    yield start
    for one in started:
        if one.process.is_running():
            one.stop()


def all_end(processes: list[psutil.Process], timeout_s: float = EXIT_TIMEOUT_S) -> bool:
    _, left = psutil.wait_procs(processes, timeout=timeout_s)
    return not [one for one in left if is_alive(one)]


def is_alive(process: psutil.Process) -> bool:
    """Return True if a process is running and not a zombie."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def public_details(process: psutil.Process) -> str:
    """Return the arguments and environment of a process; nothing if it has just ended."""
    try:
        return "\0".join(process.cmdline()) + repr(process.environ())
    except psutil.NoSuchProcess:
        return ""


def test_it_starts_shows_how_to_sign_in_and_stops_everything(up: StartUp, data: Path) -> None:
    # Variables of a user's shell, and a setting of an installation behind a proxy.
    elsewhere = {"DATABASE_URL": "postgresql://somebody@elsewhere.invalid/other"}
    running = up(**elsewhere, http_proxy="http://127.0.0.1:1", ALLOWED_HOSTS="deployctl.example.org")
    assert running.wait_for_output(r"^ready http://127\.0\.0\.1:(\d+)$").group(1) == str(running.port)
    password = running.wait_for_output(r"^  admin@localhost  (\S{20})$").group(1)
    assert running.responds()
    assert (data / "environment").stat().st_mode & 0o777 == 0o600
    assert (data / "signing-key.pem").stat().st_mode & 0o777 == 0o600
    assert (data / "heads").is_dir()

    family = running.descendants()
    secrets = {password, *re.findall(r"(?:KEY=|:)([A-Za-z0-9_=-]{32,})", (data / "environment").read_text())}
    assert len(secrets) == 5, "two keys, two server passwords, and the person's"
    shown = "".join(public_details(one) for one in family)
    assert str(data) in shown
    logs = "".join(path.read_text(errors="replace") for path in (data / "logs").iterdir())
    assert not [secret for secret in secrets if secret in shown or secret in logs]

    assert running.stop(signal.SIGTERM) == 0
    assert all_end(family, timeout_s=0)
    order = re.findall(r"stopped: (\w+)", (data / "logs" / "supervisord.log").read_text())
    assert set(order) == ALL
    assert order[-2:] == ["redis", "postgres"]

    again = up()
    again.wait_for_output(r"^Sign in with your account")
    assert again.responds()
    again.process.send_signal(signal.SIGINT)
    again.process.send_signal(signal.SIGINT)
    assert again.process.wait(EXIT_TIMEOUT_S) == 0


def test_conflicts_are_reported_before_anything_starts(up: StartUp, data: Path) -> None:
    running = up()
    running.wait_for_output("^ready ")
    second = up()
    second.wait_for_output(
        rf"data folder {data} is already in use by process {running.process.pid}\. Nothing was changed"
    )
    assert second.process.wait(EXIT_TIMEOUT_S) == 1
    other = data.parent / "other"
    third = up(port=running.port, folder=other)
    third.wait_for_output(
        rf"Port {running.port} on 127\.0\.0\.1 is in use.* PORT={running.port + 1} make run"
    )
    assert third.process.wait(EXIT_TIMEOUT_S) == 1
    assert not other.exists()
    assert running.responds(), "the first installation still runs"
    running.stop()
    up("--demo").wait_for_output("an installation without demo data.* Nothing was changed")
    environment = data / "environment"
    environment.write_text(environment.read_text().replace("DEPLOYCTL_DEMO=0", "DEPLOYCTL_DEMO=1"))
    up().wait_for_output("contains a demo.* Nothing was changed")


def test_a_killed_program_is_restarted_and_a_killed_up_leaves_no_process(up: StartUp, data: Path) -> None:
    running = up()
    running.wait_for_output("^ready ")
    for program in ("web", "maintenance", "postgres"):
        running.process_of(program).kill()
        running.wait_for_output(
            rf"^{program} ended unexpectedly \(terminated by SIGKILL\) and is being restarted"
        )
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not running.responds():
            assert time.monotonic() < deadline, f"{program} was not restarted in time"
            time.sleep(0.2)

    family = running.descendants()
    assert len(family) > len(ALL)
    running.process.kill()
    assert all_end(family)
    up().wait_for_output("^ready ")


def test_it_survives_the_end_of_its_terminal_under_nohup(up: StartUp) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what nohup does
    try:
        running = up()
    finally:
        signal.signal(signal.SIGHUP, before)
    running.wait_for_output("^ready ")
    running.process.send_signal(signal.SIGHUP)
    time.sleep(1)
    assert running.responds()
    assert running.stop() == 0


def test_an_invalid_setting_stops_everything_with_a_message(up: StartUp) -> None:
    broken = up(LOG_LEVEL="nonsense")
    broken.wait_for_output("could not be prepared, so everything was stopped")
    assert broken.process.wait(EXIT_TIMEOUT_S) == 1


def test_an_unusable_data_folder_is_reported(up: StartUp, data: Path) -> None:
    data.write_text("not a folder")
    refused = up(folder=data / "below")
    refused.wait_for_output("can't be used: Not a directory. Nothing was started")
    assert refused.process.wait(EXIT_TIMEOUT_S) == 1
