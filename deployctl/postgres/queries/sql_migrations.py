"""The records of migrations kept as plain .sql files, and running a migration's text."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import psycopg
from psycopg.rows import class_row, scalar_row

from deployctl.postgres.queries.rows import one

# Any fixed number; it differs from Prisma's so that the two tools never wait for each other.
ADVISORY_LOCK = 5_307_101


@dataclass(frozen=True)
class Record:
    """A row of `deployctl_migrations`: a file that was applied."""

    name: str
    checksum: str
    applied_at: dt.datetime


def lock(connection: psycopg.Connection) -> None:
    """Wait for the turn in this database, up to the session's lock_timeout; held until the session ends."""
    connection.execute("SELECT pg_advisory_lock(%s)", (ADVISORY_LOCK,))


def has_records(connection: psycopg.Connection) -> bool:
    """Whether the records' table exists."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return bool(one(cursor.execute("SELECT to_regclass('deployctl_migrations') IS NOT NULL").fetchone()))


def create_table(connection: psycopg.Connection) -> None:
    """Create the records' table."""
    connection.execute(
        """
        CREATE TABLE deployctl_migrations (
            name        text PRIMARY KEY,
            checksum    text NOT NULL,
            applied_at  timestamptz NOT NULL DEFAULT clock_timestamp()
        )
        """
    )


def records(connection: psycopg.Connection) -> list[Record]:
    """Every row, oldest first."""
    with connection.cursor(row_factory=class_row(Record)) as cursor:
        return cursor.execute(
            "SELECT name, checksum, applied_at FROM deployctl_migrations ORDER BY applied_at, name"
        ).fetchall()


def add(connection: psycopg.Connection, *, name: str, checksum: str) -> None:
    """Record a file as applied, in the transaction that applied it."""
    connection.execute("INSERT INTO deployctl_migrations (name, checksum) VALUES (%s, %s)", (name, checksum))


def run_script(connection: psycopg.Connection, script: bytes) -> None:
    """Send a whole script as one simple query, as Prisma's engine and psql -c do.

    The server runs its statements as one transaction, unless the script has BEGIN or COMMIT of its own
    (PostgreSQL manual, "Multiple Statements in a Simple Query").

    Args:
        script: as it lies on disk; nothing in it is a placeholder.
    """
    connection.execute(script)


def transaction_id(connection: psycopg.Connection) -> int:
    """The number of the transaction in progress; it changes when a script ends that transaction."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return int(one(cursor.execute("SELECT txid_current()").fetchone()))
