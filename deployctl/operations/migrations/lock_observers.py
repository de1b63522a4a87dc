"""Observe the locks of a migration: the sessions that block it, and the tables that it locks and rewrites."""

from __future__ import annotations

import abc
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, Self

import psycopg
from psycopg import errors

from deployctl.operations.framework.base import Job, OperationFailed
from deployctl.postgres.queries import activity, rewrites_and_locks
from deployctl.postgres.queries.activity import Blocker
from deployctl.postgres.queries.rewrites_and_locks import BLOCKING_MODES, TableStorage

WATCH_EVERY_S = 0.5
RECORD_EVERY_S = 0.02
STATEMENT_TIMEOUT_S = 2


class _LockObserver(abc.ABC):
    """Calls `_observe` periodically in a thread with its own session, while the run's thread is blocked.

    `is_incomplete` is set if a query failed; the migration continues unobserved.

    Args:
        job: the run, whose sessions are recognized by their application name.
        every_s: the interval in seconds.
    """

    name: ClassVar[str]

    def __init__(self, job: Job, *, every_s: float) -> None:
        self._job, self._every_s = job, every_s
        self._session = job.connect(read_only=True, statement_timeout_s=STATEMENT_TIMEOUT_S)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self.is_incomplete = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        self._session.close()

    def _run(self) -> None:
        while not self._done.wait(self._every_s):
            try:
                self._observe()
            except psycopg.Error:
                self.is_incomplete = True
                return

    @abc.abstractmethod
    def _observe(self) -> None:
        """Query the locks once."""


class LockWatch(_LockObserver):
    """Records the sessions that block a run, because they can't be found after its lock timeout."""

    name = "lock watch"

    def __init__(self, job: Job) -> None:
        super().__init__(job, every_s=WATCH_EVERY_S)
        self._last_blockers: dict[int, Blocker] = {}
        self._logged: set[int] = set()

    @property
    def blockers(self) -> list[str]:
        """Return a description of each session that last blocked the run."""
        return [blocker.description for blocker in self._last_blockers.values()]

    @property
    def held_by(self) -> str:
        """Return the blockers as a sentence to append, or "" without any."""
        return f" Held by {'; '.join(self.blockers)}." if self._last_blockers else ""

    def _observe(self) -> None:
        found = activity.blockers_of_named(self._session, self._job.application_name)
        if not found:
            return
        self._last_blockers = {blocker.pid: blocker for blocker in found}
        for pid, blocker in self._last_blockers.items():
            if pid not in self._logged:
                self._logged.add(pid)
                self._job.log(f"Waiting for a lock held by {blocker.description}", level="warning")


@dataclass(frozen=True)
class ObservedLock:
    """The strongest lock mode observed on a table, and the duration of its locks in seconds."""

    table: str
    mode: str
    seconds: float


class LockRecorder(_LockObserver):
    """Records which existing tables a migration locks and rewrites.

    A lock held for less than 20 ms may be missed; a rewritten table never is.

    Args:
        job: on the copy of the database.
    """

    name = "lock recorder"

    def __init__(self, job: Job) -> None:
        super().__init__(job, every_s=RECORD_EVERY_S)
        self._before = {found.oid: found for found in rewrites_and_locks.table_storage(self._session)}
        self._modes: dict[int, int] = {}
        self._times: dict[int, tuple[float, float]] = {}

    @property
    def locks(self) -> Sequence[ObservedLock]:
        """Return the recorded locks, the strongest and longest first."""
        observed = [
            (mode, self._times[oid][1] - self._times[oid][0], self._before[oid].name)
            for oid, mode in self._modes.items()
        ]
        return [
            ObservedLock(name, BLOCKING_MODES[mode], round(seconds, 3))
            for mode, seconds, name in sorted(observed, reverse=True)
        ]

    def rewritten(self, session: psycopg.Connection) -> Sequence[TableStorage]:
        """Return the tables that the migration rewrote, with their former file and size.

        Args:
            session: on the copy, after the migration.
        """
        now: Mapping[int, TableStorage] = {
            found.oid: found for found in rewrites_and_locks.table_storage(session)
        }
        return [before for oid, before in self._before.items() if oid in now and now[oid].file != before.file]

    def _observe(self) -> None:
        held = rewrites_and_locks.blocking_locks(self._session, self._job.application_name)
        now = time.monotonic()
        for lock in held:
            if lock.oid in self._before:
                mode = BLOCKING_MODES.index(lock.mode)
                self._modes[lock.oid] = max(mode, self._modes.get(lock.oid, 0))
                self._times[lock.oid] = (self._times.get(lock.oid, (now, now))[0], now)


def take_lock(
    lock: Callable[[psycopg.Connection], None],
    connection: psycopg.Connection,
    watch: LockWatch,
    *,
    within_s: float,
    state: str,
) -> None:
    """Acquire the advisory lock of a migration tool until the session ends.

    Args:
        lock: acquires the lock, and waits up to the session's lock_timeout.
        within_s: that timeout in seconds, for the message.
        state: a clause without full stop about the state after a failure, such as "Nothing was applied".

    Raises:
        OperationFailed: another session holds the lock.
    """
    try:
        lock(connection)
    except errors.LockNotAvailable:
        raise OperationFailed(
            f"{state}: another migration of this database is running and did not release its lock within "
            f"{within_s:g} s.{watch.held_by} Try again after that migration has ended."
        ) from None
