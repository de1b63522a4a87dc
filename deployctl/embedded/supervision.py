"""Notices when a program ends by itself, says so, and gives up when it is hopeless."""

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

# Programs that end soon after their start are given up by the process manager. These bounds catch the others,
# which run for a while each time.
MOST_ENDS = 5
WITHIN_S = 120.0


class RestartLimitReached(EmbeddedError):
    """A program could not be kept running."""


class Supervisor:
    """Compares what runs with what ran at the last look.

    Args:
        manager: whose programs to watch.
        logs: folder with ``<name>.log``.
        say: called with the text for the terminal.
    """

    def __init__(self, manager: ProcessManager, *, logs: Path, say: Callable[[str], None]) -> None:
        self._manager = manager
        self._logs = logs
        self._say = say
        self._seen: dict[str, int] = {}
        self._shown: dict[str, list[str]] = {}
        self._ends: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=MOST_ENDS))

    def look(self) -> None:
        """Report every program that ended since the last look.

        Raises:
            RestartLimitReached: when the process manager is gone, or a program keeps ending.
        """
        if not self._manager.is_running:
            raise RestartLimitReached(
                "The process manager ended unexpectedly, and its programs with it. "
                f"{self._where('supervisord')}"
            )
        for status in self._manager.statuses():
            if status.state in {State.STOPPED, State.STOPPING, State.UNKNOWN}:
                continue
            before = self._seen.get(status.name, 0)
            self._seen[status.name] = status.pid
            if status.state is State.FATAL:
                raise RestartLimitReached(self._hopeless(status))
            if before and before != status.pid:
                self._report(status)

    def _report(self, status: Status) -> None:
        now = time.monotonic()
        ends = self._ends[status.name]
        if len(ends) == MOST_ENDS and now - ends[0] < WITHIN_S:
            raise RestartLimitReached(self._hopeless(status))
        ends.append(now)
        self._say(
            f"{status.name} ended unexpectedly{self._how(status.name)} and is started again. "
            f"{self._where(status.name)}"
        )

    def _hopeless(self, status: Status) -> str:
        self._shown.clear()  # the last word shows the log, even where it is a repetition
        return (
            f"{status.name} keeps ending{self._how(status.name)} and could not be kept running, so "
            f"everything was stopped. {self._where(status.name)}"
        )

    def _how(self, name: str) -> str:
        # supervisord tells how a program ended nowhere but in its log: "exited: web (exit status 7; not
        # expected)".
        for line in reversed(tail(self._logs / "supervisord.log", lines=50)):
            if found := re.search(rf"exited: {re.escape(name)} \(([^;)]+)", line):
                return f" ({found.group(1)})"
        return ""

    def _where(self, name: str) -> str:
        path = self._logs / f"{name}.log"
        lines = tail(path)
        if not lines:
            return f"Its log {path} is empty."
        if lines == self._shown.get(name):
            return f"{path} ends as before."
        self._shown[name] = lines
        return f"The end of {path}:\n" + "\n".join(f"  | {line}" for line in lines)


def tail(path: Path, lines: int = TAIL_LINES) -> list[str]:
    """Return the last lines of a log that may be long or missing."""
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(0, size - TAIL_BYTES))
            text = stream.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    return [line for line in text.splitlines() if line.strip()][-lines:]
