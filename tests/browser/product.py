"""Start a demonstration with `deployctl up --demo` for tests in a real browser."""

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

from tests.processes import EXIT_TIMEOUT_S, free_port

DEPLOYCTL = str(Path(sys.executable).with_name("deployctl"))
START_TIMEOUT_S = 400
SIGN_IN_LINE = re.compile(r"^  (?P<email>\S+@\S+)\s+(?P<password>\S+)\s+(?P<role>.+)$")


@dataclass(frozen=True)
class Product:
    """A running demonstration."""

    url: str
    data: Path
    passwords: dict[str, str]

    def deployctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a deployctl command, as in another terminal."""
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
    """Start `deployctl up --demo` in a folder, and stop it like Ctrl-C at the end."""
    port = free_port()
    process = subprocess.Popen(
        [DEPLOYCTL, "up", "--demo", "--workers", "2"],
        env=_environment() | {"DATA": str(folder), "PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    terminal = _Terminal(process)
    try:
        terminal.wait_for("To sign or start operations", START_TIMEOUT_S)
        yield Product(f"http://127.0.0.1:{port}", folder, terminal.passwords())
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(EXIT_TIMEOUT_S)
        finally:
            process.kill()
            terminal.close()


class _Terminal:
    """Reads the output of the command in a thread, so the command never blocks on a full pipe."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        self._process.wait()
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Read the rest of the output. Returns after the process has ended."""
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def wait_for(self, beginning: str, seconds: float) -> None:
        """Wait for a line that begins with a text."""
        with self._changed:
            found = self._changed.wait_for(
                lambda: (
                    any(line.startswith(beginning) for line in self._lines)
                    or self._process.poll() is not None
                ),
                seconds,
            )
        if not found or self._process.poll() is not None:
            # Keep passwords out of the test output.
            lines = [line for line in self._lines if not SIGN_IN_LINE.match(line)]
            raise AssertionError("The product did not start:\n" + "\n".join(lines))

    def passwords(self) -> dict[str, str]:
        """Return the printed passwords by e-mail address."""
        found = (SIGN_IN_LINE.match(line) for line in self._lines)
        return {match["email"]: match["password"] for match in found if match}


def _environment() -> dict[str, str]:
    """Return the environment without variables of the test session, because the product sets its own."""
    prefixes = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DEPLOYCTL_", "TEST_", "DJANGO_", "PYTEST_")
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
