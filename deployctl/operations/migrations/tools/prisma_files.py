"""Apply Prisma migrations without Node, with the same files and records.

It follows Prisma's schema engine step by step, so that `prisma migrate status` agrees afterwards and either
tool can continue the other's work. There are two differences: an edited migration blocks the next ones, and
the record of a migration that certainly had no effect (lock timeout, cancellation) is deleted, so that the
migration is pending again for both tools.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Sequence
from typing import ClassVar, NoReturn

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus

from deployctl.operations.framework.base import Job, OperationFailed
from deployctl.operations.framework.postgres_errors import failure_on_error, message_of
from deployctl.operations.migrations.base import (
    LOCK_TIMEOUT_S,
    UNREADABLE,
    Status,
    progress_so_far,
    refuse_unless_ready,
)
from deployctl.operations.migrations.files import Migration, checksum
from deployctl.operations.migrations.lock_observers import LockWatch
from deployctl.operations.migrations.prisma_history import PrismaHistory
from deployctl.postgres.queries import prisma
from deployctl.postgres.queries import sql_migrations as scripts
from deployctl.text import pluralize

# A script with one of these statements controls its own transactions, so a failure may not undo all of it.
OWN_TRANSACTION = re.compile(
    rb"(?:^|;)\s*(?:BEGIN|START\s+TRANSACTION|COMMIT|END|ROLLBACK|ABORT)\b", re.IGNORECASE | re.MULTILINE
)


class PrismaFiles(PrismaHistory):
    """Applies `prisma/migrations/*/migration.sql` and keeps `_prisma_migrations` as Prisma's CLI does."""

    tool: ClassVar[str] = "prisma_files"
    title: ClassVar[str] = "Prisma's files, without Node"

    def status(self, job: Job) -> Status:
        """Return the status from the records and the files."""
        with failure_on_error(job, UNREADABLE), self.open(job, read_only=True) as connection:
            return self.recorded_status(connection)

    def apply(self, job: Job) -> Sequence[str]:
        """Apply the pending migrations, one step each."""
        migrations = {migration.name: migration for migration in self.migrations()}
        done: list[str] = []
        # The session that holds the lock also writes the records; each script runs in a session of its own,
        # so that its settings do not affect the next one.
        with LockWatch(job) as watch, self.open(job) as records_session:
            with failure_on_error(job, "Nothing was applied"):
                self._prepare(job, records_session, watch)
                status = self.recorded_status(records_session)
            refuse_unless_ready(status)
            job.advance(0, len(status.pending), unit="migrations")
            for name in status.pending:
                with job.step(f"Apply {name}"):
                    _MigrationRun(job, self, records_session, watch, done).run(migrations[name])
                done.append(name)
                job.advance(len(done), len(status.pending), unit="migrations")
        return done

    def mark_rolled_back(self, job: Job, name: str) -> None:
        """Update the records as the CLI's `migrate resolve --rolled-back` does."""
        state = f"{name} was not marked"
        with LockWatch(job) as watch, failure_on_error(job, state), self.open(job) as records_session:
            self.take_lock(records_session, watch, state=state)
            if prisma.mark_rolled_back(records_session, name) == 0:
                raise OperationFailed(f"{state}, because it has already been resolved.")

    def _prepare(self, job: Job, records_session: psycopg.Connection, watch: LockWatch) -> None:
        """Acquire Prisma's lock, and create its table if the schema is empty."""
        self.take_lock(records_session, watch, state="Nothing was applied")
        schema = self.schema(job)
        prisma.create_schema(records_session, schema)
        if prisma.has_records(records_session):
            return
        tables = prisma.table_names(records_session)
        if tables:
            shown = ", ".join(tables[:5]) + (" …" if len(tables) > 5 else "")
            raise OperationFailed(
                f"Nothing was applied: the schema {schema} has {pluralize(len(tables), 'table')} ({shown}) "
                "but no records of Prisma (its error P3005). If this is the right database, record the "
                "existing migrations as applied (prisma migrate resolve --applied, “baselining”)."
            )
        prisma.create_table(records_session)


class _MigrationRun:
    """The execution of one migration."""

    def __init__(
        self,
        job: Job,
        history: PrismaHistory,
        records_session: psycopg.Connection,
        watch: LockWatch,
        done: Sequence[str],
    ) -> None:
        self.job = job
        self.history = history
        self.records_session = records_session
        self.watch = watch
        self.done = done

    def run(self, migration: Migration) -> None:
        """Record the start, run the script, and record the end."""
        script = migration.script()
        started = time.monotonic()
        with self.history.open(self.job) as session:
            with failure_on_error(
                self.job,
                f"{migration.name} was not started. {progress_so_far(self.done)} The server reported",
            ):
                record = prisma.begin(self.records_session, name=migration.name, checksum=checksum(script))
            try:
                scripts.run_script(session, script)
            except psycopg.Error as error:
                self._fail(session, record, migration, script, error)
            if session.info.transaction_status != TransactionStatus.IDLE:
                session.rollback()
                reason = "it leaves a transaction open, which was rolled back"
                prisma.fail(self.records_session, record, f"ERROR: {migration.name}: {reason}")
                raise OperationFailed(
                    f"The migration {migration.name} failed: {reason}. {self._state(blocks=True)}"
                )
        with failure_on_error(
            self.job, f"{migration.name} was applied, but Prisma's record of it could not be updated"
        ):
            prisma.finish(self.records_session, record)
        self.job.log(f"Applied {migration.name} in {time.monotonic() - started:.1f} s")

    def _fail(
        self,
        session: psycopg.Connection,
        record: str,
        migration: Migration,
        script: bytes,
        error: psycopg.Error,
    ) -> NoReturn:
        """Record the failure and raise it; never returns."""
        name = migration.name
        if session.closed or session.broken:
            raise OperationFailed(
                f"The connection was lost while the migration {name} ran ({message_of(error)}), so it may or "
                "may not have been applied, and Prisma's record of it is unfinished. Check the schema and "
                f"the migration status before you continue. {progress_so_far(self.done)}"
            ) from error
        session.rollback()
        rolled_back = not OWN_TRANSACTION.search(script)
        can_retry = rolled_back and isinstance(error, errors.LockNotAvailable | errors.QueryCanceled)
        reason = self._reason(error)
        with contextlib.suppress(psycopg.OperationalError):  # a cancellation may have ended this session, too
            if can_retry:
                # Not marked as rolled back, because `prisma migrate status` would not list it as pending.
                prisma.delete_unfinished(self.records_session, record)
            else:
                prisma.fail(self.records_session, record, logs_for(name, error, reason))
        self.job.raise_if_cancelled()
        effect = (
            "It was rolled back completely."
            if rolled_back
            else "It controls its own transactions, so parts of it may remain."
        )
        raise OperationFailed(
            f"The migration {name} failed: {reason}. {effect} {self._state(blocks=not can_retry)}"
        ) from error

    def _reason(self, error: psycopg.Error) -> str:
        if isinstance(error, errors.LockNotAvailable):
            return f"it waited {LOCK_TIMEOUT_S} s for a lock.{self.watch.held_by}".rstrip(".")
        return message_of(error)

    def _state(self, *, blocks: bool) -> str:
        next_step = (
            "Prisma's records list it as failed, which blocks further migrations until it is resolved "
            "(prisma migrate resolve --rolled-back)."
            if blocks
            else "Run the migrations again when the lock is free."
        )
        return f"{progress_so_far(self.done)} {next_step}"


def logs_for(name: str, error: psycopg.Error, reason: str) -> str:
    """Return the text that Prisma's engine writes into `logs`, without its stack trace."""
    position = f"\n\nPosition: {error.diag.statement_position}" if error.diag.statement_position else ""
    return (
        "A migration failed to apply. New migrations cannot be applied before the error is recovered from."
        "\n\n"
        f"Migration name: {name}\n\nDatabase error code: {error.sqlstate or 'unknown'}\n\n"
        f"Database error:\nERROR: {reason}{position}\n"
    )
