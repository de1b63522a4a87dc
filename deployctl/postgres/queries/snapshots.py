"""Export a snapshot that several sessions can share."""

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
    """An exported snapshot; `id` is valid for `pg_dump --snapshot` while its transaction is open."""

    id: str
    taken_at: dt.datetime


def begin(connection: psycopg.Connection, tables: Sequence[sql.Identifier] = ()) -> Snapshot:
    """Begin a repeatable-read, read-only transaction and export its snapshot.

    The tables are locked in ACCESS SHARE mode before the snapshot is taken, because a table that is rewritten
    afterwards would appear empty in it (PostgreSQL manual, "Caveats" of concurrency control).

    Args:
        connection: an autocommit session outside a transaction; it is inside one afterwards.
        tables: the tables to read; the role needs the SELECT privilege on them.

    Raises:
        psycopg.errors.LockNotAvailable: a table was locked for longer than the session's lock_timeout.
    """
    # The transaction is idle while others dump; a timeout meant for applications would end both.
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
    """End the transaction and its snapshot."""
    connection.execute("ROLLBACK")
