"""One moment of the database, shared between sessions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql
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


def begin(connection: psycopg.Connection, tables: Sequence[sql.Identifier] = ()) -> Snapshot:
    """Open a repeatable-read, read-only transaction and export what it sees.

    The tables are locked against being changed in shape (not in rows) until the end, and before the
    snapshot is taken: a table that ALTER TABLE or TRUNCATE rewrites afterwards would look empty in it.

    Args:
        connection: an autocommit session outside a transaction; it is inside one afterwards.
        tables: what will be read; the role may read them.

    Raises:
        psycopg.errors.LockNotAvailable: a table stayed locked for longer than the session's lock_timeout.
    """
    # The transaction idles while others dump; limits meant for applications would end it, and the dump.
    connection.execute(
        "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = ANY (%s)", (LIMITS,)
    )
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    if tables:
        names = sql.SQL(", ").join(sql.SQL("ONLY {}").format(table) for table in tables)
        connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(names))
    with connection.cursor(row_factory=class_row(Snapshot)) as cursor:
        return one(
            cursor.execute("SELECT pg_export_snapshot() AS id, clock_timestamp() AS taken_at").fetchone()
        )


def end(connection: psycopg.Connection) -> None:
    """Close the transaction; nothing was written in it."""
    connection.execute("ROLLBACK")
