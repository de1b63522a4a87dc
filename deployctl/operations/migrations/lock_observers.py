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

LOOK_EVERY_S = 0.5
RECORD_EVERY_S = 0.02
STATEMENT_TIMEOUT_S = 2


class _LockObserver(abc.ABC):
    """Calls `_look` periodically in a thread, on a session of its own; the migration blocks the run's thread.

    `blind` is True once the server stopped answering; the migration itself continues.

    Args:
        job: the run; its sessions are recognized by its application name.
        every_s: the seconds between two looks.
    """

    name: ClassVar[str]

    def __init__(self, job: Job, *, every_s: float) -> None:
        self._job, self._every_s = job, every_s
        self._session = job.connect(read_only=True, statement_timeout_s=STATEMENT_TIMEOUT_S)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self.blind = False

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
                self._look()
            except psycopg.Error:
                self.blind = True
                return

    @abc.abstractmethod
    def _look(self) -> None:
        """Read the locks once."""


class LockWatch(_LockObserver):
    """Records the sessions that block a run.

    After the lock timeout the waiting session no longer waits, so its blockers must be recorded before.
    """

    name = "lock watch"

    def __init__(self, job: Job) -> None:
        super().__init__(job, every_s=LOOK_EVERY_S)
        self._seen: dict[int, Blocker] = {}
        self._logged: set[int] = set()

    @property
    def blockers(self) -> list[str]:
        """Return a description of each session that was last seen blocking the run."""
        return [blocker.description for blocker in self._seen.values()]

    @property
    def held_by(self) -> str:
        """Return the blockers as a sentence to append, "" if none was seen."""
        return f" Held by {'; '.join(self.blockers)}." if self._seen else ""

    def _look(self) -> None:
        found = activity.blockers_of_named(self._session, self._job.application_name)
        if not found:
            return
        self._seen = {blocker.pid: blocker for blocker in found}
        for pid, blocker in self._seen.items():
            if pid not in self._logged:
                self._logged.add(pid)
                self._job.log(f"Waiting for a lock held by {blocker.description}", level="warning")


@dataclass(frozen=True)
class SeenLock:
    """The strongest lock seen on a table, and for how many seconds locks were seen on it."""

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
    def locks(self) -> Sequence[SeenLock]:
        """Return the recorded locks, the strongest and longest first."""
        seen = [
            (mode, self._times[oid][1] - self._times[oid][0], self._before[oid].name)
            for oid, mode in self._modes.items()
        ]
        return [
            SeenLock(name, BLOCKING_MODES[mode], round(seconds, 3))
            for mode, seconds, name in sorted(seen, reverse=True)
        ]

    def rewritten(self, session: psycopg.Connection) -> Sequence[TableStorage]:
        """Return the tables that are stored in another file now, as they were before.

        Args:
            session: on the copy, after the migration.
        """
        now: Mapping[int, TableStorage] = {
            found.oid: found for found in rewrites_and_locks.table_storage(session)
        }
        return [was for oid, was in self._before.items() if oid in now and now[oid].file != was.file]

    def _look(self) -> None:
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
    """Take the advisory lock of a migration tool, which is held until the session ends.

    Args:
        lock: takes it, and waits for the session's lock timeout at most.
        within_s: that timeout in seconds, for the message.
        state: a sentence without full stop, such as "Nothing was applied".

    Raises:
        OperationFailed: another session holds it.
    """
    try:
        lock(connection)
    except errors.LockNotAvailable:
        raise OperationFailed(
            f"{state}: another migration of this database is running. "
            f"Its lock was not released within {within_s:g} s.{watch.held_by} "
            "Run it again after that migration has ended."
        ) from None
