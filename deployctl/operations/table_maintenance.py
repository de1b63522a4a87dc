"""Run ANALYZE or VACUUM table by table, without blocking the application."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import psycopg
from psycopg import errors, sql

from deployctl.operations.framework.base import Job, OperationFailed
from deployctl.operations.framework.postgres_errors import failure_on_error, message_of
from deployctl.operations.migrations.lock_observers import LockWatch
from deployctl.postgres.connection import cancel_until_done
from deployctl.postgres.privileges import quote_name
from deployctl.postgres.queries import maintenance
from deployctl.postgres.queries.maintenance import MaintainableTable, MaintenanceProgress, Work
from deployctl.text import pluralize

# A table that stays locked for so many seconds is skipped: while we wait, the application's later lock
# requests queue behind ours.
LOCK_TIMEOUT_S = 5
PROGRESS_EVERY_S = 0.3
PROGRESS_TIMEOUT_S = 2
# Servers before 15 update the statistics a moment later, through the statistics collector.
REPORTED_WITHIN_S = 5.0

Statement = Callable[[psycopg.Connection, sql.Identifier], None]
ReadProgress = Callable[[psycopg.Connection, str], MaintenanceProgress | None]


@dataclass
class MaintenanceResult:
    """The tables that were processed, and those that were skipped with the reason as a sentence."""

    done: list[MaintainableTable] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def fail_if_skipped(self, verb: str) -> None:
        """Raise OperationFailed with the reasons if a table was skipped."""
        if self.skipped:
            tables = pluralize(len(self.skipped) + len(self.done), "table")
            raise OperationFailed(
                f"{len(self.skipped)} of {tables} could not be {verb}. "
                + " ".join(self.skipped.values())
                + " The others are done; no data was changed."
            )


def select_tables(job: Job, work: Work, name: str) -> list[MaintainableTable]:
    """Return the tables to process.

    Args:
        name: one table, such as `Plan` or `billing.Plan` in exact case; empty for all.

    Raises:
        OperationFailed: the table does not exist.
    """
    with (
        failure_on_error(job, "Nothing was done: the tables could not be listed"),
        job.connect(read_only=True, statement_timeout_s=30) as connection,
    ):
        found = maintenance.maintainable_tables(connection, work)
    if not name:
        return found
    matching = [table for table in found if name in {table.name, table.key}]
    if len(matching) == 1:
        return matching
    if matching:
        raise OperationFailed(
            f"Nothing was done: there are several tables {name}. "
            f"Name one of {', '.join(table.key for table in matching)}."
        )
    raise OperationFailed(
        f"Nothing was done: database {job.target.connection.dbname} has no table {name} to {work}. Names are "
        "case-sensitive; for a partitioned table, name the "
        + ("table itself." if work == "analyze" else "partitions.")
    )


def process_tables(
    job: Job,
    tables: Sequence[MaintainableTable],
    *,
    work: Work,
    statement: Statement,
    read_progress: ReadProgress,
) -> MaintenanceResult:
    """Run a statement on every table, one step each; skip a table that can't be processed.

    Args:
        statement: run in a separate session, which waits at most `LOCK_TIMEOUT_S` for a lock.
        read_progress: reads the progress of the run's sessions.

    Raises:
        OperationFailed: the connection was lost.
        Cancelled: the current table is unchanged; the tables before are done.
    """
    result = MaintenanceResult()
    with (
        LockWatch(job) as watch,
        job.connect(lock_timeout_s=LOCK_TIMEOUT_S) as session,
        job.connect(read_only=True, statement_timeout_s=PROGRESS_TIMEOUT_S) as observer,
    ):
        worker = _TableWorker(job, work, statement, read_progress, session, observer)
        for number, table in enumerate(tables, start=1):
            try:
                with job.step(f"{work.capitalize()} {table.key}"):
                    worker.process(table, f"{number} of {len(tables)}")
                result.done.append(table)
            except psycopg.Error as error:
                job.raise_if_cancelled()
                if session.closed or session.broken:
                    raise OperationFailed(
                        f"The connection was lost at {table.key} ({message_of(error)}). "
                        f"{pluralize(len(result.done), 'table')} had been processed; no data was changed. "
                        "Run it again."
                    ) from error
                result.skipped[table.key] = _reason(table, error, watch)
            except OperationFailed as failure:
                result.skipped[table.key] = failure.message
            if table.key in result.skipped:
                job.log(result.skipped[table.key], level="error")
    return result


@dataclass(frozen=True)
class _TableWorker:
    job: Job
    work: Work
    statement: Statement
    read_progress: ReadProgress
    session: psycopg.Connection
    observer: psycopg.Connection

    def process(self, table: MaintainableTable, position: str) -> None:
        """Check the privilege, process the table, and check that the server did it.

        Args:
            position: such as "3 of 40".
        """
        self._check_privilege(table)
        # A thread waits for the server; only the run's own thread may report progress.
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix=self.work) as pool:
            running = pool.submit(self.statement, self.session, table.identifier)
            try:
                self._report_progress(running, position)
            except BaseException:
                cancel_until_done(self.session, running)
                raise
            running.result()
        self._check_done(table)

    def _report_progress(self, running: Future[None], position: str) -> None:
        unavailable = False
        while not wait([running], timeout=PROGRESS_EVERY_S).done:
            self.job.raise_if_cancelled()
            if unavailable:
                continue
            try:
                progress = self.read_progress(self.observer, self.job.application_name)
            except psycopg.Error as error:
                unavailable = True  # the work continues without progress reports
                self.job.log(f"The server stopped reporting progress: {message_of(error)}.", level="warning")
                continue
            if progress is not None:
                phase = f"{position}: {progress.relation}, {progress.phase}"
                total = progress.blocks_total or None
                self.job.advance(progress.blocks_done, total, unit="blocks", phase=phase)

    def _check_privilege(self, table: MaintainableTable) -> None:
        """Fail if the role lacks the privilege: the server would only warn and skip the table."""
        if table.permitted:
            return
        role = self.session.info.user
        if self.session.info.server_version >= maintenance.MAINTAIN_FROM_VERSION:
            grant = f"GRANT MAINTAIN ON {quote_name(table.schema, table.name)} TO {quote_name(role)}"
        else:
            grant = f"GRANT {quote_name(table.owner)} TO {quote_name(role)}"
        raise OperationFailed(
            f"Role {role} can't {self.work} {table.key}, which {table.owner} owns. "
            f"The owner or a superuser can allow it with: {grant};"
        )

    def _check_done(self, table: MaintainableTable) -> None:
        """Check the server's counter: the statement succeeds even if the server skips the table."""
        deadline = time.monotonic() + REPORTED_WITHIN_S
        while maintenance.runs_of(self.observer, table.oid, self.work) <= table.runs:
            if time.monotonic() > deadline:
                raise OperationFailed(
                    f"{table.key}: the statement succeeded, but the server didn't count it in "
                    f"pg_stat_all_tables.{self.work}_count."
                )
            self.job.raise_if_cancelled()
            time.sleep(0.1)


def _reason(table: MaintainableTable, error: psycopg.Error, watch: LockWatch) -> str:
    if isinstance(error, errors.LockNotAvailable):
        return f"{table.key} waited {LOCK_TIMEOUT_S} s for a lock.{watch.held_by}"
    return f"{table.key}: {message_of(error)}."
