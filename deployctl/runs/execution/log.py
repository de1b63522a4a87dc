"""Store the log lines of a run in batches, guarded by the fencing token, and announce them."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from psycopg import sql

from deployctl.runs.execution.cancellation import StopReason, StopSignal
from deployctl.runs.execution.line_reader import LineReader, cap, clean
from deployctl.runs.execution.masking import Masker
from deployctl.runs.execution.retry import retry_until_reachable
from deployctl.runs.models import LeaseLost, LogLine, Run
from deployctl.web.live import publish

logger = logging.getLogger(__name__)

MIB = 1024 * 1024
GATHER_S = 0.1
# A program that writes faster than lines are stored must wait once this much is buffered.
PENDING_BYTES = 1 * MIB
HEAD_BYTES = 50 * MIB
TAIL_BYTES = 50 * MIB
# The tail is trimmed by this size, not line by line.
TRIM_BYTES = 2 * MIB
PROGRAM = "output"


@dataclass(frozen=True)
class Line:
    """A masked log line that is not stored yet."""

    at: dt.datetime
    level: str
    text: str

    @property
    def size(self) -> int:
        """The size in bytes."""
        return len(self.text.encode())


class Log:
    """The log of a run while it is executed.

    Args:
        run: the claimed run.
        masker: masks the secrets of the run.
        stop: receives the reason if the lease is lost.
    """

    def __init__(self, run: Run, masker: Masker, stop: StopSignal) -> None:
        self._run, self._masker, self._stop = run, masker, stop
        self._store = LineStore(run)
        self._pending: list[Line] = []
        self._pending_bytes = 0
        self._changed = threading.Condition()
        self._closing = False
        self._writer = threading.Thread(target=self._write, name=f"log of run {run.pk}", daemon=True)

    def __enter__(self) -> Self:
        self._writer.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Store the remaining lines."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._writer.join()

    def write(self, text: str, level: str) -> None:
        """Write one or more lines of text."""
        for line in self._masker.mask(clean(text)).split("\n"):
            self._add(Line(timezone.now(), level, cap(line)))

    @contextlib.contextmanager
    def program(self) -> Iterator[Callable[[str, bytes], None]]:
        """Yield a function that logs a program's output: `(stream, chunk)`, with "stdout" or "stderr"."""
        take = lambda line: self._add(Line(timezone.now(), PROGRAM, line))  # noqa: E731
        readers = {name: LineReader(self._masker, take) for name in ("stdout", "stderr")}
        try:
            yield lambda stream, chunk: readers[stream].feed(chunk)
        finally:
            for reader in readers.values():
                reader.close()

    def _add(self, line: Line) -> None:
        with self._changed:
            while self._pending_bytes > PENDING_BYTES and not self._given_up():
                self._changed.wait(1)
            if self._given_up():
                return
            self._pending.append(line)
            self._pending_bytes += line.size
            self._changed.notify_all()

    def _given_up(self) -> bool:
        return self._stop.reason == StopReason.LEASE_LOST

    def _write(self) -> None:
        try:
            while self._store_next():
                pass
        except LeaseLost:
            self._stop.request(StopReason.LEASE_LOST)
        except Exception:
            # Without a log nobody would know what happened to the target: stop, and let the reaper clean up.
            logger.exception("The log of run %s cannot be stored", self._run.pk)
            self._stop.request(StopReason.LEASE_LOST)
        finally:
            connection.close()
            with self._changed:
                self._changed.notify_all()

    def _store_next(self) -> bool:
        """Store the next batch. Return False if the log is closed and all lines are stored."""
        with self._changed:
            while not self._pending and not self._closing:
                self._changed.wait(1)
            closing = self._closing
        if not closing:
            self._stop.wait(GATHER_S)
        with self._changed:
            batch, self._pending, self._pending_bytes = self._pending, [], 0
            self._changed.notify_all()
        if batch:
            retry_until_reachable(lambda: self._store.append(batch), while_=lambda: not self._given_up())
        return bool(batch) or not closing


class LineStore:
    """The stored lines of a run: the first 50 MB and the last 50 MB."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._last = run.lines.order_by("-number").values_list("number", flat=True).first() or 0
        self._head_bytes = 0
        # The first number, last number and size of each batch of the tail, oldest first.
        self._tail: deque[tuple[int, int, int]] = deque()
        self._tail_bytes = 0

    def append(self, batch: list[Line]) -> None:
        """Store lines, then notify open pages.

        Raises:
            LeaseLost: this worker no longer holds the run; nothing was stored.
        """
        first, last = self._last + 1, self._last + len(batch)
        size = sum(line.size for line in batch)
        dropped = self._outgrown(size)
        with transaction.atomic():
            self._run.write(
                log_bytes=F("log_bytes") + size,
                log_lines_dropped=F("log_lines_dropped")
                + sum(until - since + 1 for since, until, _ in dropped),
            )
            for since, until, _ in dropped:
                self._run.lines.filter(number__range=(since, until)).delete()
            self._copy(first, batch)
        self._last = last
        self._remember(first, last, size, dropped)
        transaction.on_commit(lambda: publish(f"log:{self._run.pk}", "[]"))

    def _copy(self, first: int, batch: list[Line]) -> None:
        # COPY is about ten times faster than INSERT.
        table = sql.Identifier(LogLine._meta.db_table)
        statement = sql.SQL("COPY {} (run_id, number, at, level, text) FROM STDIN").format(table)
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            for number, line in enumerate(batch, start=first):
                copy.write_row((self._run.pk, number, line.at, line.level, line.text))

    def _outgrown(self, size: int) -> list[tuple[int, int, int]]:
        """Return the oldest batches of the tail that must be dropped to keep its size."""
        over = self._tail_bytes + size - TAIL_BYTES
        if over < TRIM_BYTES:
            return []
        outgrown = []
        for piece in self._tail:
            if over <= 0:
                break
            outgrown.append(piece)
            over -= piece[2]
        return outgrown

    def _remember(self, first: int, last: int, size: int, dropped: list[tuple[int, int, int]]) -> None:
        for _ in dropped:
            self._tail_bytes -= self._tail.popleft()[2]
        if self._head_bytes < HEAD_BYTES:
            self._head_bytes += size
        else:
            self._tail.append((first, last, size))
            self._tail_bytes += size


def add_line(run: Run, text: str, level: str) -> None:
    """Store one line for a caller that holds the run without executing it, such as the reaper."""
    LineStore(run).append([Line(timezone.now(), level, cap(text))])
