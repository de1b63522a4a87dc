"""Apply numbered .sql files, for applications without a migration tool."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import ClassVar

import psycopg
from psycopg import errors

from deployctl.operations.framework.base import Job, OperationFailed
from deployctl.operations.framework.postgres_errors import failure_on_error, message_of
from deployctl.operations.migrations.base import (
    LOCK_TIMEOUT_S,
    STATUS_TIMEOUT_S,
    UNREADABLE,
    Migrator,
    Status,
    progress_so_far,
    refuse_unless_ready,
)
from deployctl.operations.migrations.files import Migration, checksum, checksums, matches, numbered_scripts
from deployctl.operations.migrations.lock_observers import LockWatch, take_lock
from deployctl.postgres.queries import sql_migrations as queries


class SqlFiles(Migrator):
    """Applies `migrations/0001_….sql` by number, each in a transaction with its record."""

    tool: ClassVar[str] = "sql"
    title: ClassVar[str] = "Numbered .sql files"
    default_folder: ClassVar[str] = "migrations"

    def status(self, job: Job) -> Status:
        """Return the status from the records and the files."""
        session = job.connect(read_only=True, statement_timeout_s=STATUS_TIMEOUT_S)
        with failure_on_error(job, UNREADABLE), session as connection:
            return self._status(connection)

    def apply(self, job: Job) -> Sequence[str]:
        """Apply the pending migrations, one step and one transaction each."""
        migrations = {migration.name: migration for migration in numbered_scripts(self.folder)}
        done: list[str] = []
        with LockWatch(job) as watch, job.connect(lock_timeout_s=LOCK_TIMEOUT_S) as holder:
            with failure_on_error(job, "Nothing was applied"):
                take_lock(queries.lock, holder, watch, within_s=LOCK_TIMEOUT_S, state="Nothing was applied")
                if not queries.has_records(holder):
                    queries.create_table(holder)
                status = self._status(holder)
            refuse_unless_ready(status)
            job.advance(0, len(status.pending), unit="migrations")
            for name in status.pending:
                with job.step(f"Apply {name}"), job.connect(lock_timeout_s=LOCK_TIMEOUT_S) as session:
                    _apply(job, session, migrations[name], watch, done)
                done.append(name)
                job.advance(len(done), len(status.pending), unit="migrations")
        return done

    def _status(self, connection: psycopg.Connection) -> Status:
        migrations = {migration.name: migration for migration in numbered_scripts(self.folder)}
        records = queries.records(connection) if queries.has_records(connection) else []
        applied = {record.name: record.checksum for record in records}
        return Status(
            total=len(migrations),
            applied=tuple(applied),
            pending=tuple(name for name in migrations if name not in applied),
            edited=tuple(
                name
                for name, recorded in applied.items()
                if name in migrations and not matches(migrations[name].script(), recorded)
            ),
            unknown=tuple(name for name in applied if name not in migrations),
            checksums=checksums(migrations.values()),
        )


def _apply(
    job: Job, session: psycopg.Connection, migration: Migration, watch: LockWatch, done: Sequence[str]
) -> None:
    script = migration.script()
    started = time.monotonic()
    try:
        with session.transaction():
            _run_in_one_transaction(session, migration, script)
            queries.add(session, name=migration.name, checksum=checksum(script))
    except psycopg.Error as error:
        job.raise_if_cancelled()
        if session.closed or session.broken:
            raise OperationFailed(
                f"The connection was lost while {migration.name} ran ({message_of(error)}). Check the "
                "migration status to see if it was applied; the script and its record are one transaction. "
                f"{progress_so_far(done)}"
            ) from error
        reason = message_of(error)
        if isinstance(error, errors.LockNotAvailable):
            reason = f"it waited {LOCK_TIMEOUT_S} s for a lock.{watch.held_by}".rstrip(".")
        raise OperationFailed(
            f"The migration {migration.name} failed: {reason}. It was rolled back completely. "
            f"{progress_so_far(done)} Correct the cause, then run the migrations again."
        ) from error
    job.log(f"Applied {migration.name} in {time.monotonic() - started:.1f} s")


def _run_in_one_transaction(session: psycopg.Connection, migration: Migration, script: bytes) -> None:
    before = queries.transaction_id(session)
    queries.run_script(session, script)
    if queries.transaction_id(session) != before:
        raise OperationFailed(
            f"The migration {migration.name} ends its own transaction (COMMIT or ROLLBACK), so it can't be "
            "applied in a transaction with its record. Its committed changes remain, and it isn't recorded "
            "as applied. Undo them manually, remove the statement, and run the migrations again."
        )
