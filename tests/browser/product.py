"""The whole product, started as people start it, for tests in a real browser."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.processes import GONE_WITHIN_S, free_port

DEPLOYCTL = str(Path(sys.executable).with_name("deployctl"))
READY_WITHIN_S = 400
SIGN_IN_LINE = re.compile(r"^  (?P<email>\S+@\S+)\s+(?P<password>\S+)\s+(?P<role>.+)$")


@dataclass(frozen=True)
class Product:
    """A running demonstration."""

    url: str
    data: Path
    passwords: dict[str, str]

    def deployctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command line beside it, as in another terminal."""
        return subprocess.run(
            [DEPLOYCTL, *arguments],
            env=_environment() | {"DEPLOYCTL_DATA": str(self.data)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@contextmanager
def demonstration(folder: Path) -> Iterator[Product]:
    """Start `deployctl up --demo` in this folder, and stop it as Ctrl-C does."""
    port = free_port()
    process = subprocess.Popen(
        [DEPLOYCTL, "up", "--demo", "--workers", "2"],
        env=_environment() | {"DATA": str(folder), "PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    reading = _Terminal(process)
    try:
        reading.wait_for("To sign or start operations", READY_WITHIN_S)
        yield Product(f"http://127.0.0.1:{port}", folder, reading.passwords())
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(GONE_WITHIN_S)
        finally:
            process.kill()
            reading.close()


class _Terminal:
    """What the command prints, read on the side so that it never has to wait for us."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lines: list[str] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self._lines.append(line.rstrip("\n"))
                self._news.notify_all()
        self._process.wait()
        with self._news:
            self._news.notify_all()

    def close(self) -> None:
        """Read to the end, which comes when the process has gone."""
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def wait_for(self, beginning: str, seconds: float) -> None:
        """Wait for a line that begins so."""
        with self._news:
            found = self._news.wait_for(
                lambda: (
                    any(line.startswith(beginning) for line in self._lines)
                    or self._process.poll() is not None
                ),
                seconds,
            )
        if not found or self._process.poll() is not None:
            # Passwords stay out of test output.
            shown = [line for line in self._lines if not SIGN_IN_LINE.match(line)]
            raise AssertionError("The product did not come up:\n" + "\n".join(shown))

    def passwords(self) -> dict[str, str]:
        """The passwords that were printed, by address."""
        found = (SIGN_IN_LINE.match(line) for line in self._lines)
        return {match["email"]: match["password"] for match in found if match}


def _environment() -> dict[str, str]:
    """Ours, without what the test session set for itself: the product makes its own."""
    own = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DEPLOYCTL_", "TEST_", "DJANGO_", "PYTEST_")
    return {name: value for name, value in os.environ.items() if not name.startswith(own)}
