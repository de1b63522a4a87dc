"""How far a running pg_restore is, from what the server says of the database that it fills."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from deployctl.operations.base import Job
from deployctl.operations.manifest import Manifest
from deployctl.operations.sentences import message_of
from deployctl.postgres.queries import progress

EVERY_S = 0.5
LOOK_TIMEOUT_S = 5


class RestoreProgress:
    """Reports rows that are in, out of those that were counted for the dump, then indexes that are built.

    Rows of finished tables are in the statistics of the database, those of the tables being filled in
    `pg_stat_progress_copy`; between the two a table may be missing for a moment, so nothing goes backwards.

    Args:
        job: told the progress; pg_restore's sessions have its application name.
        session: on the database that is filled, used for nothing else.
        rows: that will be in, None where nobody counted them.
    """

    def __init__(self, job: Job, session: psycopg.Connection, *, rows: int | None) -> None:
        self._job, self._session, self._rows = job, session, rows
        self._done, self._next, self._blind = 0, 0.0, False

    def report(self) -> None:
        """Report, at most twice a second."""
        if self._blind or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + EVERY_S
        try:
            self._look()
        except psycopg.Error as error:
            self._blind = True  # the restore goes on; only its progress is not known any more
            self._job.log(f"The server stopped telling the progress: {message_of(error)}.", level="warning")

    def finish(self) -> None:
        """Report that all is in."""
        if self._rows is not None:
            self._job.advance(self._rows, self._rows, unit="rows", phase="restore")

    def _look(self) -> None:
        running = progress.copies(self._session, self._job.application_name)
        builds = [] if running else progress.index_builds(self._session, self._job.application_name)
        if builds:
            unit, done, total = builds[0].measure
            phase = f"index on {builds[0].relation}: {builds[0].phase}"
            self._job.advance(done, total or None, unit=unit, phase=phase)
            return
        seen = progress.rows_inserted(self._session) + sum(copy.rows_done for copy in running)
        self._done = max(self._done, seen if self._rows is None else min(seen, self._rows))
        self._job.advance(self._done, self._rows, unit="rows", phase="restore")


@contextmanager
def watching(job: Job, written: Manifest, *, into: str) -> Iterator[RestoreProgress]:
    """Watch a restore from a session of its own, which is closed at the end.

    Args:
        written: of the backup that is restored.
        into: the database.
    """
    rows = sum(count.rows for count in written.counts) if written.counted else None
    with job.connect(dbname=into, read_only=True, statement_timeout_s=LOOK_TIMEOUT_S) as session:
        yield RestoreProgress(job, session, rows=rows)
