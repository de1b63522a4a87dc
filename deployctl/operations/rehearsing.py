"""Letting an operation's parts work on a copy of the target, and watching what they do to its tables."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, cast

import psycopg

from deployctl.operations.base import Job
from deployctl.postgres.queries import upheaval
from deployctl.postgres.queries.upheaval import BLOCKING_MODES, Stored

LOOK_EVERY_S = 0.02
STATEMENT_TIMEOUT_S = 2


def on_copy(job: Job, dbname: str) -> Job:
    """The same job, whose target is another database of the same server.

    Args:
        dbname: of the copy.
    """
    return cast("Job", _OnCopy(job, dbname))


class _OnCopy:
    """Everything but the target's database is the job's own."""

    def __init__(self, job: Job, dbname: str) -> None:
        self._job, self._dbname = job, dbname
        copy = job.target.connection.with_database(dbname)
        self.target = dataclasses.replace(job.target, connection=copy)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._job, name)

    def connect(self, *, dbname: str | None = None, **options: Any) -> psycopg.Connection:
        """A session on the copy, unless another database is asked for."""
        return self._job.connect(dbname=dbname or self._dbname, **options)


@dataclass(frozen=True)
class SeenLock:
    """The strongest lock seen on a table, and for how long locks were seen on it, in seconds."""

    table: str
    mode: str
    seconds: float


class Witness:
    """Notes, from a session of its own, which tables that were there before a migration locks and rewrites.

    It looks every 20 ms; a lock that is held for less may not be seen, a table that is rewritten always is.

    Args:
        job: on the copy; its sessions are known by its application name.
    """

    def __init__(self, job: Job) -> None:
        self._name = job.application_name
        self._session = job.connect(read_only=True, statement_timeout_s=STATEMENT_TIMEOUT_S)
        self._before = {found.oid: found for found in upheaval.stored(self._session)}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, name="witness", daemon=True)
        self._modes: dict[int, int] = {}
        self._times: dict[int, tuple[float, float]] = {}
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

    @property
    def locks(self) -> Sequence[SeenLock]:
        """What was seen, the strongest and longest first."""
        seen = [
            (mode, self._times[oid][1] - self._times[oid][0], self._before[oid].name)
            for oid, mode in self._modes.items()
        ]
        return [
            SeenLock(name, BLOCKING_MODES[mode], round(seconds, 3))
            for mode, seconds, name in sorted(seen, reverse=True)
        ]

    def rewritten(self, session: psycopg.Connection) -> Sequence[Stored]:
        """What is stored in another file than before, as it was before.

        Args:
            session: on the copy, after the migration.
        """
        now: Mapping[int, Stored] = {found.oid: found for found in upheaval.stored(session)}
        return [was for oid, was in self._before.items() if oid in now and now[oid].file != was.file]

    def _look(self) -> None:
        while not self._done.wait(LOOK_EVERY_S):
            try:
                held = upheaval.blocking_locks(self._session, self._name)
            except psycopg.Error:
                self.blind = True  # said in the outcome; the rehearsal itself goes on
                return
            now = time.monotonic()
            for lock in held:
                if lock.oid in self._before:
                    mode = BLOCKING_MODES.index(lock.mode)
                    self._modes[lock.oid] = max(mode, self._modes.get(lock.oid, 0))
                    self._times[lock.oid] = (self._times.get(lock.oid, (now, now))[0], now)
