"""Query and update the records of numbered .sql migrations, and run a migration's script."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import psycopg
from psycopg.rows import class_row, scalar_row

from deployctl.postgres.queries.rows import one

# An arbitrary key, other than Prisma's, so that the two tools never wait for each other.
ADVISORY_LOCK = 5_307_101


@dataclass(frozen=True)
class Record:
    """A row of `deployctl_migrations`: an applied file."""

    name: str
    checksum: str
    applied_at: dt.datetime


def lock(connection: psycopg.Connection) -> None:
    """Acquire the advisory lock until the session ends; waits up to the session's lock_timeout."""
    connection.execute("SELECT pg_advisory_lock(%s)", (ADVISORY_LOCK,))


def has_records(connection: psycopg.Connection) -> bool:
    """Return True if the table of records exists."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return bool(one(cursor.execute("SELECT to_regclass('deployctl_migrations') IS NOT NULL").fetchone()))


def create_table(connection: psycopg.Connection) -> None:
    """Create the table of records."""
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
    """Return every record, oldest first."""
    with connection.cursor(row_factory=class_row(Record)) as cursor:
        return cursor.execute(
            "SELECT name, checksum, applied_at FROM deployctl_migrations ORDER BY applied_at, name"
        ).fetchall()


def add(connection: psycopg.Connection, *, name: str, checksum: str) -> None:
    """Record a file as applied; call it in the transaction that applies the file."""
    connection.execute("INSERT INTO deployctl_migrations (name, checksum) VALUES (%s, %s)", (name, checksum))


def run_script(connection: psycopg.Connection, script: bytes) -> None:
    """Send a whole script as one simple query, as Prisma's engine and psql -c do.

    The server runs its statements in one transaction, unless the script contains BEGIN or COMMIT
    (PostgreSQL manual, "Multiple Statements in a Simple Query").

    Args:
        script: the file's content; it contains no placeholders.
    """
    connection.execute(script)


def transaction_id(connection: psycopg.Connection) -> int:
    """Return the ID of the current transaction; it changes if a script ends that transaction."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return int(one(cursor.execute("SELECT txid_current()").fetchone()))
