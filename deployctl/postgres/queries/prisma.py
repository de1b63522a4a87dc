"""Prisma's own records of its migrations, in the table `_prisma_migrations`.

The statements are those that Prisma Migrate 6.19 sends (seen in the server's log), so that its CLI and we can
continue each other's work. The table is named without a schema, as there: the session's search_path decides.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import class_row, scalar_row

from deployctl.postgres.queries.rows import one

# The key under which every Prisma Migrate, whatever the project, takes its turn in a database.
ADVISORY_LOCK = 72707369


@dataclass(frozen=True)
class Record:
    """A row of `_prisma_migrations`. Unfinished and not rolled back means: failed, or running just now."""

    id: str
    checksum: str
    finished_at: dt.datetime | None
    migration_name: str
    logs: str | None
    rolled_back_at: dt.datetime | None
    started_at: dt.datetime
    applied_steps_count: int


def lock(connection: psycopg.Connection) -> None:
    """Take Prisma's turn in this database, until the session ends; waits up to its lock_timeout."""
    connection.execute("SELECT pg_advisory_lock(%s)", (ADVISORY_LOCK,))


def use_schema(connection: psycopg.Connection, schema: str) -> None:
    """Work in a schema, as `?schema=` in DATABASE_URL asks.

    Args:
        schema: its exact name.
    """
    path = sql.Identifier(schema).as_string(connection)
    connection.execute("SELECT set_config('search_path', %s, false)", (path,))


def create_schema(connection: psycopg.Connection, schema: str) -> None:
    """Create a schema where there is none.

    Looked for first: IF NOT EXISTS asks for the right to create schemas even where it does nothing.
    """
    found = connection.execute("SELECT FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone()
    if found is None:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))


def has_records(connection: psycopg.Connection) -> bool:
    """Whether the schema in use has the table."""
    return "_prisma_migrations" in table_names(connection)


def table_names(connection: psycopg.Connection) -> list[str]:
    """Ordinary tables of the schema in use; Prisma calls a schema empty when there is none."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            """
            SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind = 'r' AND n.nspname = current_schema() ORDER BY c.relname
            """
        ).fetchall()


def create_table(connection: psycopg.Connection) -> None:
    """Create the table, word for word as the CLI does."""
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
    """Every row, oldest first."""
    with connection.cursor(row_factory=class_row(Record)) as cursor:
        return cursor.execute(
            """
            SELECT id, checksum, finished_at, migration_name, logs, rolled_back_at, started_at,
                   applied_steps_count
            FROM _prisma_migrations ORDER BY started_at ASC
            """
        ).fetchall()


def begin(connection: psycopg.Connection, *, name: str, checksum: str) -> str:
    """Record that a migration starts.

    The time is the server's, cut to milliseconds as the CLI's times are.

    Returns:
        The id of its row.
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
    """Record that a migration was applied. The CLI counts a whole file as one step.

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
    """Record why a migration failed; it blocks the next ones until it is resolved.

    Args:
        record: the id from `begin`.
        logs: for people.
    """
    connection.execute("UPDATE _prisma_migrations SET logs = %s WHERE id = %s", (logs, record))


def roll_back(connection: psycopg.Connection, name: str) -> int:
    """Mark what stands unfinished of a migration as rolled back, so that it is pending again.

    Args:
        name: of the migration.

    Returns:
        How many records were marked.
    """
    return connection.execute(
        """
        UPDATE _prisma_migrations SET rolled_back_at = date_trunc('milliseconds', clock_timestamp())
        WHERE migration_name = %s AND finished_at IS NULL AND rolled_back_at IS NULL
        """,
        (name,),
    ).rowcount


def forget(connection: psycopg.Connection, record: str) -> None:
    """Remove the record of a migration that left nothing behind: it is pending again.

    Args:
        record: the id from `begin`.
    """
    connection.execute("DELETE FROM _prisma_migrations WHERE id = %s AND finished_at IS NULL", (record,))
