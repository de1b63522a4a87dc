"""Prisma's records against Prisma's files: what both Prisma tools read."""

from __future__ import annotations

import abc
from collections.abc import Sequence

import psycopg
from psycopg import errors

from deployctl.operations.base import Job, OperationFailed
from deployctl.operations.migrators.base import LOCK_TIMEOUT_S, Failed, Migrator, Status
from deployctl.operations.migrators.files import Migration, checksums, matches, prisma_migrations
from deployctl.operations.migrators.locks import LockWatch
from deployctl.postgres.queries import prisma

STATUS_TIMEOUT_S = 30
UNREADABLE = "The migration status could not be read"
DEFAULT_SCHEMA = "public"


class PrismaHistory(Migrator):
    """A migrator of a Prisma project."""

    default_folder = "prisma/migrations"

    def open(self, job: Job, *, read_only: bool = False) -> psycopg.Connection:
        """A session in the schema that the connection's `?schema=` names, as Prisma's own are."""
        connection = job.connect(
            lock_timeout_s=LOCK_TIMEOUT_S,
            read_only=read_only,
            statement_timeout_s=STATUS_TIMEOUT_S if read_only else None,
        )
        prisma.use_schema(connection, self.schema(job))
        return connection

    @staticmethod
    def schema(job: Job) -> str:
        """The schema that Prisma works in."""
        return job.target.connection.options.get("schema", DEFAULT_SCHEMA)

    def migrations(self) -> Sequence[Migration]:
        """Those of the project, in order."""
        return prisma_migrations(self.folder)

    def recorded_status(self, connection: psycopg.Connection) -> Status:
        """What the records say, compared with the files."""
        return compare(self.migrations(), self.records(connection))

    @abc.abstractmethod
    def mark_rolled_back(self, job: Job, name: str) -> None:
        """Record that nothing is left of a failed migration; it is pending again.

        Args:
            name: of a migration that `status` calls failed.

        Raises:
            OperationFailed: it could not be recorded.
        """

    @staticmethod
    def take_turn(connection: psycopg.Connection, watch: LockWatch, *, state: str) -> None:
        """Take Prisma's lock, held until the session ends: an unfinished record may be of one that runs now.

        Args:
            watch: knows who has the lock.
            state: a sentence without full stop, such as "Nothing was applied".

        Raises:
            OperationFailed: somebody else has it.
        """
        try:
            prisma.lock(connection)
        except errors.LockNotAvailable:
            raise OperationFailed(
                f"{state}: another migration of this database is running. "
                f"The turn did not come within {LOCK_TIMEOUT_S} s.{held_by(watch)} "
                "Run it again when that one has ended."
            ) from None

    @staticmethod
    def records(connection: psycopg.Connection) -> list[prisma.Record]:
        """Prisma's records; none where it never worked in this schema."""
        return prisma.records(connection) if prisma.has_records(connection) else []


def held_by(watch: LockWatch) -> str:
    """Who held up the run, as a sentence after another one; empty where nobody was seen."""
    return f" Held by {'; '.join(watch.blockers)}." if watch.blockers else ""


def compare(migrations: Sequence[Migration], records: Sequence[prisma.Record]) -> Status:
    """Where a database stands.

    A row that was rolled back counts for nothing; one that is neither finished nor rolled back has failed.
    Both rules are Prisma's (schema engine, `apply_migrations` and `diagnose_migration_history`).
    """
    standing = [record for record in records if record.rolled_back_at is None]
    applied = {record.migration_name: record for record in standing if record.finished_at is not None}
    failed = [record for record in standing if record.finished_at is None]
    by_name = {migration.name: migration for migration in migrations}
    recorded = {record.migration_name for record in standing}
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
