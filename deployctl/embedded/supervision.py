"""Report programs that end unexpectedly, and give up when one keeps ending."""

from __future__ import annotations

import re
import time
from collections import defaultdict, deque
from collections.abc import Callable
from pathlib import Path

from deployctl.embedded.errors import EmbeddedError
from deployctl.embedded.manager import ProcessManager, State, Status

TAIL_LINES = 8
TAIL_BYTES = 16_384

# The process manager gives up programs that end soon after their start. These limits catch programs that run
# for a while each time.
MAX_ENDS = 5
ENDS_WINDOW_S = 120.0


class RestartLimitReached(EmbeddedError):
    """A program keeps ending."""


class Supervisor:
    """Compares the running programs with those of the last check.

    Args:
        manager: the manager of the programs.
        logs: folder with ``<name>.log``.
        say: called with the text for the terminal.
    """

    def __init__(self, manager: ProcessManager, *, logs: Path, say: Callable[[str], None]) -> None:
        self._manager = manager
        self._logs = logs
        self._say = say
        self._pids: dict[str, int] = {}
        self._shown: dict[str, list[str]] = {}
        self._ends: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=MAX_ENDS))

    def check(self) -> None:
        """Report every program that ended since the last check.

        Raises:
            RestartLimitReached: the process manager ended, or a program keeps ending.
        """
        if not self._manager.is_running:
            raise RestartLimitReached(
                f"The process manager and its programs ended unexpectedly. {self._log_end('supervisord')}"
            )
        for status in self._manager.statuses():
            if status.state in {State.STOPPED, State.STOPPING, State.UNKNOWN}:
                continue
            before = self._pids.get(status.name, 0)
            self._pids[status.name] = status.pid
            if status.state is State.FATAL:
                raise RestartLimitReached(self._limit_message(status))
            if before and before != status.pid:
                self._report(status)

    def _report(self, status: Status) -> None:
        now = time.monotonic()
        ends = self._ends[status.name]
        if len(ends) == MAX_ENDS and now - ends[0] < ENDS_WINDOW_S:
            raise RestartLimitReached(self._limit_message(status))
        ends.append(now)
        self._say(
            f"{status.name} ended unexpectedly{self._exit_status(status.name)} and is being restarted. "
            f"{self._log_end(status.name)}"
        )

    def _limit_message(self, status: Status) -> str:
        self._shown.clear()  # the final message shows the log even if it was shown before
        return (
            f"{status.name} keeps ending{self._exit_status(status.name)}, so everything was stopped. "
            f"{self._log_end(status.name)}"
        )

    def _exit_status(self, name: str) -> str:
        # supervisord reports this only in its log: "exited: web (exit status 7; not expected)".
        for line in reversed(tail(self._logs / "supervisord.log", lines=50)):
            if found := re.search(rf"exited: {re.escape(name)} \(([^;)]+)", line):
                return f" ({found.group(1)})"
        return ""

    def _log_end(self, name: str) -> str:
        path = self._logs / f"{name}.log"
        lines = tail(path)
        if not lines:
            return f"Its log {path} is empty."
        if lines == self._shown.get(name):
            return f"The end of {path} is unchanged."
        self._shown[name] = lines
        return f"The end of {path}:\n" + "\n".join(f"  | {line}" for line in lines)


def tail(path: Path, lines: int = TAIL_LINES) -> list[str]:
    """Return the last lines of a log, which may be long or missing."""
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(0, size - TAIL_BYTES))
            text = stream.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    return [line for line in text.splitlines() if line.strip()][-lines:]
