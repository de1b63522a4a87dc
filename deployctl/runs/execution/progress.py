"""Measure the progress of a run and its rate, and limit how often they are written."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

WRITE_EVERY_S = 0.5
WINDOW_S = 10.0


class Progress:
    """Turns progress reports into the columns to write."""

    def __init__(self) -> None:
        self._phase: str | None = None
        self._written = float("-inf")
        self._reports: deque[tuple[float, int]] = deque()

    def report(
        self, done: int, total: int | None, *, unit: str, phase: str, now: float | None = None
    ) -> dict[str, Any] | None:
        """Return the columns to write for a report.

        Args:
            done, total, unit, phase: as for `Job.advance`.
            now: seconds of a monotonic clock, for tests.

        Returns:
            Columns of `Run`, or None if the last write is too recent.
        """
        now = time.monotonic() if now is None else now
        is_new_phase = phase != self._phase
        if is_new_phase:
            self._phase = phase
            self._reports.clear()
        # A lower value, as when a dump starts another table, restarts the measurement.
        if self._reports and done < self._reports[-1][1]:
            self._reports.clear()
        self._reports.append((now, done))
        while now - self._reports[0][0] > WINDOW_S and len(self._reports) > 2:
            self._reports.popleft()
        if not is_new_phase and done != total and now - self._written < WRITE_EVERY_S:
            return None
        self._written = now
        return {
            "phase": phase[:200],
            "progress_done": done,
            "progress_total": total,
            "progress_unit": unit[:20],
            "progress_rate": self._rate(),
        }

    def _rate(self) -> float | None:
        (since, first), (until, last) = self._reports[0], self._reports[-1]
        if until - since < 1:
            return None
        return (last - first) / (until - since)
