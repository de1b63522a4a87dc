"""Query the locks that a migration holds on tables, and the files that store them."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg.rows import class_row


@dataclass(frozen=True)
class TableStorage:
    """A table with its filenode; a new filenode means that the table was rewritten."""

    oid: int
    name: str
    file: int
    size_bytes: int


@dataclass(frozen=True)
class HeldLock:
    """A lock on a table that blocks writes, or reads and writes."""

    oid: int
    mode: str


# Lock modes that block writes (PostgreSQL manual, "Table-Level Locks"), the weakest first.
BLOCKING_MODES = ("ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock")


def table_storage(connection: psycopg.Connection) -> list[TableStorage]:
    """Return every table and materialized view of this database."""
    with connection.cursor(row_factory=class_row(TableStorage)) as cursor:
        return cursor.execute(
            """
            SELECT c.oid::bigint AS oid, n.nspname || '.' || c.relname AS name,
                   c.relfilenode::bigint AS file, pg_table_size(c.oid) AS size_bytes
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'm')
              AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
            ORDER BY name
            """
        ).fetchall()


def blocking_locks(connection: psycopg.Connection, application_name: str) -> list[HeldLock]:
    """Return the blocking locks on tables of this database that sessions of an application name hold."""
    with connection.cursor(row_factory=class_row(HeldLock)) as cursor:
        return cursor.execute(
            """
            SELECT DISTINCT l.relation::bigint AS oid, l.mode
            FROM pg_locks l JOIN pg_stat_activity a USING (pid)
            WHERE l.granted AND l.locktype = 'relation' AND l.mode = ANY(%s)
              AND a.application_name = %s AND a.pid <> pg_backend_pid()
              AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            """,
            (list(BLOCKING_MODES), application_name),
        ).fetchall()
