"""The tables in which Django and Alembic keep what they applied, and which database a session is in."""

from __future__ import annotations

import psycopg
from psycopg.rows import scalar_row

from deployctl.postgres.queries.rows import one


def django_migrations(connection: psycopg.Connection) -> list[tuple[str, str]]:
    """App and name of every migration that Django has recorded, oldest first; none without its table."""
    if not _exists(connection, "django_migrations"):
        return []
    return connection.execute("SELECT app, name FROM django_migrations ORDER BY id").fetchall()


def alembic_heads(connection: psycopg.Connection) -> list[str]:
    """The revisions at which Alembic says the database is; none without its table."""
    if not _exists(connection, "alembic_version"):
        return []
    with connection.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute("SELECT version_num FROM alembic_version ORDER BY version_num").fetchall()


def database_identity(connection: psycopg.Connection) -> str:
    """Tells one database from another for as long as its server runs; any role may read it."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return str(one(cursor.execute(DATABASE_IDENTITY).fetchone()))


# Also sent by the project's own Python, whose answer must be the same.
DATABASE_IDENTITY = (
    "SELECT current_database() || ' ' || (SELECT oid FROM pg_database WHERE datname = current_database())"
    " || ' ' || extract(epoch FROM pg_postmaster_start_time())"
)


def _exists(connection: psycopg.Connection, table: str) -> bool:
    with connection.cursor(row_factory=scalar_row) as cursor:
        return bool(one(cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (table,)).fetchone()))
