"""Query and update Prisma's records of migrations in the table `_prisma_migrations`.

The statements are those of Prisma Migrate 6.19 (from the server's log), so that its CLI and deployctl can
continue each other's work. As there, the table has no schema prefix and the session's search_path applies.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import class_row, scalar_row

from deployctl.postgres.queries.rows import one

# The key of the advisory lock that every Prisma Migrate acquires in a database.
ADVISORY_LOCK = 72707369


@dataclass(frozen=True)
class Record:
    """A row of `_prisma_migrations`; one that is neither finished nor rolled back failed or is running."""

    id: str
    checksum: str
    finished_at: dt.datetime | None
    migration_name: str
    logs: str | None
    rolled_back_at: dt.datetime | None
    started_at: dt.datetime
    applied_steps_count: int


def lock(connection: psycopg.Connection) -> None:
    """Acquire Prisma's advisory lock until the session ends; waits up to the session's lock_timeout."""
    connection.execute("SELECT pg_advisory_lock(%s)", (ADVISORY_LOCK,))


def use_schema(connection: psycopg.Connection, schema: str) -> None:
    """Set the session's search_path to a schema, as Prisma does for `?schema=` in DATABASE_URL."""
    path = sql.Identifier(schema).as_string(connection)
    connection.execute("SELECT set_config('search_path', %s, false)", (path,))


def create_schema(connection: psycopg.Connection, schema: str) -> None:
    """Create a schema if it doesn't exist.

    It is looked up first, because IF NOT EXISTS requires the CREATE privilege even for an existing schema.
    """
    found = connection.execute("SELECT FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone()
    if found is None:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))


def has_records(connection: psycopg.Connection) -> bool:
    """Return True if the current schema has the table."""
    return "_prisma_migrations" in table_names(connection)


def table_names(connection: psycopg.Connection) -> list[str]:
    """Return the ordinary tables of the current schema; without any, Prisma considers it empty."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            """
            SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind = 'r' AND n.nspname = current_schema() ORDER BY c.relname
            """
        ).fetchall()


def create_table(connection: psycopg.Connection) -> None:
    """Create the table with the same statement as the CLI."""
    connection.execute(
        """
        CREATE TABLE _prisma_migrations (
            id                      VARCHAR(36) PRIMARY KEY NOT NULL,
            checksum                VARCHAR(64) NOT NULL,
            finished_at             TIMESTAMPTZ,
            migration_name          VARCHAR(255) NOT NULL,
            logs                    TEXT,
            rolled_back_at          TIMESTAMPTZ,
            started_at              TIMESTAMPTZ NOT NULL DEFAULT now(),
            applied_steps_count     INTEGER NOT NULL DEFAULT 0
        )
        """
    )


def records(connection: psycopg.Connection) -> list[Record]:
    """Return every record, oldest first."""
    with connection.cursor(row_factory=class_row(Record)) as cursor:
        return cursor.execute(
            """
            SELECT id, checksum, finished_at, migration_name, logs, rolled_back_at, started_at,
                   applied_steps_count
            FROM _prisma_migrations ORDER BY started_at ASC
            """
        ).fetchall()


def begin(connection: psycopg.Connection, *, name: str, checksum: str) -> str:
    """Record the start of a migration and return the record's id.

    The time is the server's, truncated to milliseconds like the CLI's.
    """
    with connection.cursor(row_factory=scalar_row) as cursor:
        return str(
            one(
                cursor.execute(
                    """
                    INSERT INTO _prisma_migrations (id, checksum, started_at, migration_name)
                    VALUES (gen_random_uuid()::text, %s, date_trunc('milliseconds', clock_timestamp()), %s)
                    RETURNING id
                    """,
                    (checksum, name),
                ).fetchone()
            )
        )


def finish(connection: psycopg.Connection, record: str) -> None:
    """Record that a migration was applied; the CLI counts a whole file as one step.

    Args:
        record: the id from `begin`.
    """
    connection.execute(
        """
        UPDATE _prisma_migrations
        SET applied_steps_count = applied_steps_count + 1,
            finished_at = date_trunc('milliseconds', clock_timestamp())
        WHERE id = %s
        """,
        (record,),
    )


def fail(connection: psycopg.Connection, record: str, logs: str) -> None:
    """Record why a migration failed; the record blocks further migrations until it is resolved.

    Args:
        record: the id from `begin`.
        logs: the error message.
    """
    connection.execute("UPDATE _prisma_migrations SET logs = %s WHERE id = %s", (logs, record))


def mark_rolled_back(connection: psycopg.Connection, name: str) -> int:
    """Mark the unfinished records of a migration as rolled back, so that it is pending again.

    Returns:
        The number of records marked.
    """
    return connection.execute(
        """
        UPDATE _prisma_migrations SET rolled_back_at = date_trunc('milliseconds', clock_timestamp())
        WHERE migration_name = %s AND finished_at IS NULL AND rolled_back_at IS NULL
        """,
        (name,),
    ).rowcount


def delete_unfinished(connection: psycopg.Connection, record: str) -> None:
    """Delete the record of a migration that had no effect, so that it is pending again.

    Args:
        record: the id from `begin`.
    """
    connection.execute("DELETE FROM _prisma_migrations WHERE id = %s AND finished_at IS NULL", (record,))
