"""Lock a database with an advisory lock, so that only one installation of deployctl changes it at a time."""

from __future__ import annotations

import zlib

import psycopg
from psycopg.rows import scalar_row

from deployctl.postgres.queries.rows import one

# The first key of the lock, "dctl" in ASCII, distinguishes it from the locks of applications and of Prisma
# (72707369).
KEY_CLASS = 0x6463746C


def try_lock(connection: psycopg.Connection, database: str) -> bool:
    """Acquire the lock until the session ends; return False at once if another session holds it.

    Args:
        connection: a direct session; a pooler could pass a session with the lock to another client.
        database: the name of the database to lock. Advisory locks are local to the database of the session,
            so every caller must connect to the same one (PostgreSQL manual, "Advisory Locks").
    """
    with connection.cursor(row_factory=scalar_row) as cursor:
        return bool(
            one(cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", (KEY_CLASS, _key(database))).fetchone())
        )


def holder(connection: psycopg.Connection, database: str) -> str | None:
    """Return the application name and address of the session that holds the lock, or None."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        found: str | None = cursor.execute(
            """
            SELECT a.application_name || coalesce(' from ' || host(a.client_addr), '')
            FROM pg_locks l JOIN pg_stat_activity a USING (pid)
            WHERE l.locktype = 'advisory' AND l.granted AND l.classid = %s AND l.objid = %s::int8
              AND l.objsubid = 2
              AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            """,
            (KEY_CLASS, _key(database) % 2**32),
        ).fetchone()
        return found


def _key(database: str) -> int:
    """Return the second key of the lock, a signed 32-bit integer."""
    number = zlib.crc32(database.encode())
    return number - 2**32 if number >= 2**31 else number
