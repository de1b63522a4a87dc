"""One moment of the database, shared between sessions."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import psycopg
from psycopg.rows import class_row

from deployctl.postgres.queries.rows import one

LIMITS = [
    "statement_timeout",
    "idle_in_transaction_session_timeout",
    "transaction_timeout",
    "idle_session_timeout",
]


@dataclass(frozen=True)
class Snapshot:
    """`id` is for `pg_dump --snapshot`; it is valid while the transaction that exported it is open."""

    id: str
    taken_at: dt.datetime


def begin(connection: psycopg.Connection) -> Snapshot:
    """Open a repeatable-read, read-only transaction and export what it sees.

    Args:
        connection: an autocommit session outside a transaction; it is inside one afterwards.
    """
    # The transaction idles while others dump; limits meant for applications would end it, and the dump.
    connection.execute(
        "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = ANY (%s)", (LIMITS,)
    )
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    with connection.cursor(row_factory=class_row(Snapshot)) as cursor:
        return one(
            cursor.execute("SELECT pg_export_snapshot() AS id, clock_timestamp() AS taken_at").fetchone()
        )


def end(connection: psycopg.Connection) -> None:
    """Close the transaction; nothing was written in it."""
    connection.execute("ROLLBACK")
