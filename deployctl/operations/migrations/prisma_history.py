"""Compare the migration files of a Prisma project with Prisma's records in the database."""

from __future__ import annotations

import abc
from collections.abc import Sequence

import psycopg

from deployctl.operations.framework.base import Job
from deployctl.operations.migrations.base import LOCK_TIMEOUT_S, STATUS_TIMEOUT_S, Failed, Migrator, Status
from deployctl.operations.migrations.files import Migration, checksums, matches, prisma_migrations
from deployctl.operations.migrations.lock_observers import LockWatch, take_lock
from deployctl.postgres.queries import prisma

DEFAULT_SCHEMA = "public"


class PrismaHistory(Migrator):
    """A migration tool for Prisma projects."""

    default_folder = "prisma/migrations"

    def open(self, job: Job, *, read_only: bool = False) -> psycopg.Connection:
        """Open a session in the schema set with `?schema=` in the connection URL, as Prisma does."""
        connection = job.connect(
            lock_timeout_s=LOCK_TIMEOUT_S,
            read_only=read_only,
            statement_timeout_s=STATUS_TIMEOUT_S if read_only else None,
        )
        prisma.use_schema(connection, self.schema(job))
        return connection

    @staticmethod
    def schema(job: Job) -> str:
        """Return the schema that Prisma uses."""
        return job.target.connection.options.get("schema", DEFAULT_SCHEMA)

    def migrations(self) -> Sequence[Migration]:
        """Return the project's migrations in order."""
        return prisma_migrations(self.folder)

    def recorded_status(self, connection: psycopg.Connection) -> Status:
        """Return the status from the records and the files."""
        return compare(self.migrations(), self.records(connection))

    @abc.abstractmethod
    def mark_rolled_back(self, job: Job, name: str) -> None:
        """Record a failed migration as rolled back, so that it is pending again.

        Raises:
            OperationFailed: it could not be recorded.
        """

    @staticmethod
    def take_lock(connection: psycopg.Connection, watch: LockWatch, *, state: str) -> None:
        """Acquire Prisma's lock, because an unfinished record may belong to a running migration."""
        take_lock(prisma.lock, connection, watch, within_s=LOCK_TIMEOUT_S, state=state)

    @staticmethod
    def records(connection: psycopg.Connection) -> list[prisma.Record]:
        """Return Prisma's records; empty if Prisma was never used in this schema."""
        return prisma.records(connection) if prisma.has_records(connection) else []


def compare(migrations: Sequence[Migration], records: Sequence[prisma.Record]) -> Status:
    """Return the status of a database from its records.

    A record that was rolled back is ignored; one that is neither finished nor rolled back has failed. Both
    rules are Prisma's (schema engine, `apply_migrations` and `diagnose_migration_history`).
    """
    current = [record for record in records if record.rolled_back_at is None]
    applied = {record.migration_name: record for record in current if record.finished_at is not None}
    failed = [record for record in current if record.finished_at is None]
    by_name = {migration.name: migration for migration in migrations}
    recorded = {record.migration_name for record in current}
    return Status(
        total=len(migrations),
        applied=tuple(applied),
        pending=tuple(name for name in by_name if name not in recorded),
        failed=tuple(
            Failed(record.migration_name, record.started_at, record.logs or "") for record in failed
        ),
        edited=tuple(
            name
            for name, record in applied.items()
            if name in by_name and not matches(by_name[name].script(), record.checksum)
        ),
        unknown=tuple(name for name in applied if name not in by_name),
        checksums=checksums(migrations),
    )
