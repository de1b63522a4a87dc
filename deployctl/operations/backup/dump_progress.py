"""Progress of a running pg_dump, from its output and the server's statistics."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psycopg

from deployctl.operations.framework.base import Job
from deployctl.postgres.queries import activity, progress
from deployctl.postgres.queries.activity import Blocker
from deployctl.postgres.queries.progress import CopyProgress
from deployctl.postgres.queries.relations import Relation

EVERY_S = 0.5
STARTED = re.compile(rb'dumping contents of table "(.+)"$')
MAX_LINE_BYTES = 4096  # a name has at most 63 bytes, so longer lines don't matter


class DumpProgress:
    """Report the dumped bytes of the tables, out of their sizes at the start.

    pg_dump's output names each table that it starts; `pg_stat_progress_copy` has the number of rows dumped.
    Servers before 14 lack that view, so for them the bytes written so far are reported, without a total.

    Args:
        job: receives the progress.
        session: reads the server's views, and is used for nothing else.
        tables: the dumped tables.
        counts: rows by OID, filled while they are counted; until then the server's estimate is used.
        folder: where the dump is written.
        jobs: the number of pg_dump's parallel jobs.
    """

    def __init__(
        self,
        job: Job,
        session: psycopg.Connection,
        *,
        tables: Sequence[Relation],
        counts: Mapping[int, int],
        folder: Path,
        jobs: int,
    ) -> None:
        self._job, self._session, self._counts, self._folder, self._jobs = job, session, counts, folder, jobs
        self._tables = {table.oid: table for table in tables}
        self._oids = {table.key.encode(): table.oid for table in tables}
        self._started: list[int] = []
        self._seen: set[int] = set()
        self._line = b""
        self._reported, self._next = 0, 0.0
        self._is_imprecise = session.info.server_version < progress.COPY_FROM_VERSION
        self.blockers: list[Blocker] = []

    @property
    def total(self) -> int:
        """Return the bytes of all tables."""
        return sum(table.size_bytes for table in self._tables.values())

    def read(self, stream: str, chunk: bytes) -> None:
        """Read from pg_dump's output which tables it has started."""
        if stream != "stderr":
            return
        *lines, self._line = (self._line + chunk).split(b"\n")
        self._line = self._line[-MAX_LINE_BYTES:]
        for line in lines:
            match = STARTED.search(line)
            if match and (oid := self._oids.get(match[1])) is not None:
                self._started.append(oid)

    def report(self) -> None:
        """Report, at most twice a second."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + EVERY_S
        if not self._is_imprecise:
            self._read_progress()
        if self._is_imprecise:
            self._job.advance(_bytes_in(self._folder), None, unit="bytes", phase="dump")
        else:
            self._job.advance(self._reported, self.total, unit="bytes", phase="dump")

    def finish(self) -> None:
        """Report that everything is dumped."""
        if not self._is_imprecise:
            self._job.advance(self.total, self.total, unit="bytes", phase="dump")

    def _read_progress(self) -> None:
        try:
            running = progress.copies(self._session, self._job.application_name)
            blockers = (
                [] if running else activity.blockers_of_named(self._session, self._job.application_name)
            )
        except psycopg.Error as error:
            self._is_imprecise = True  # the dump continues; only its progress is less precise
            self._job.log(f"The server stopped reporting progress: {error}", level="warning")
            return
        self._log_blockers(blockers)
        # Never decreases, although estimates and reading times vary.
        self._reported = max(self._reported, min(self.total, self._bytes_done(running)))

    def _bytes_done(self, running: Sequence[CopyProgress]) -> int:
        active = {copy.relation_oid: copy for copy in running}
        self._seen |= active.keys()
        # A table started recently counts as finished only after the server has reported it.
        recent = set(self._started[-self._jobs :]) - self._seen
        finished = set(self._started) - active.keys() - recent
        done = sum(self._tables[oid].size_bytes for oid in finished)
        return done + sum(
            self._part(self._tables[oid], copy) for oid, copy in active.items() if oid in self._tables
        )

    def _part(self, table: Relation, copy: CopyProgress) -> int:
        rows = self._counts.get(table.oid, table.estimated_rows)
        if rows > 0:
            return int(table.size_bytes * min(1.0, copy.rows_done / rows))
        return min(table.size_bytes, copy.bytes_done)

    def _log_blockers(self, blockers: list[Blocker]) -> None:
        if blockers and blockers != self.blockers:
            self.blockers = blockers
            for blocker in blockers:
                self._job.log(f"pg_dump waits for {blocker.description}.", level="warning")


def _bytes_in(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # a temporary file that was just removed
            continue
    return total
