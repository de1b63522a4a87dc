"""Query the migrations that Django and Alembic have recorded, and the identity of a database."""

from __future__ import annotations

import psycopg
from psycopg.rows import scalar_row

from deployctl.postgres.queries.rows import one


def django_migrations(connection: psycopg.Connection) -> list[tuple[str, str]]:
    """Return the app and name of each recorded Django migration, oldest first; empty without the table."""
    if not _exists(connection, "django_migrations"):
        return []
    return connection.execute("SELECT app, name FROM django_migrations ORDER BY id").fetchall()


def alembic_heads(connection: psycopg.Connection) -> list[str]:
    """Return the current revisions that Alembic has recorded; empty without the table."""
    if not _exists(connection, "alembic_version"):
        return []
    with connection.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute("SELECT version_num FROM alembic_version ORDER BY version_num").fetchall()


def database_identity(connection: psycopg.Connection) -> str:
    """Return a string that identifies the database while its server runs; any role can read it."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return str(one(cursor.execute(DATABASE_IDENTITY).fetchone()))


# The project's own Python sends the same statement; both results must be equal.
DATABASE_IDENTITY = (
    "SELECT current_database() || ' ' || (SELECT oid FROM pg_database WHERE datname = current_database())"
    " || ' ' || extract(epoch FROM pg_postmaster_start_time())"
)


def _exists(connection: psycopg.Connection, table: str) -> bool:
    with connection.cursor(row_factory=scalar_row) as cursor:
        return bool(one(cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (table,)).fetchone()))
