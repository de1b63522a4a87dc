"""Our lock on a target: two installations of deployctl cannot work on one database at the same time."""

from __future__ import annotations

import zlib

import psycopg
from psycopg.rows import scalar_row

from deployctl.postgres.queries.rows import one

# The first half of the lock's key, "dctl" in ASCII, sets it apart from locks of applications; Prisma's own
# is 72707369.
OURS = 0x6463746C


def try_lock(connection: psycopg.Connection, database: str) -> bool:
    """Take the lock for as long as the session lives, or say at once that somebody has it.

    Args:
        connection: a direct session; behind a pooler that changes sessions between statements the lock
            would belong to nobody.
        database: the name of the database that is locked. Advisory locks are local to the database that the
            session is connected to, so all must be connected to the same one.
    """
    with connection.cursor(row_factory=scalar_row) as cursor:
        return bool(
            one(cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", (OURS, _key(database))).fetchone())
        )


def holder(connection: psycopg.Connection, database: str) -> str | None:
    """Who has the lock: its application name and address, None where nobody has it (any more)."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        found: str | None = cursor.execute(
            """
            SELECT a.application_name || coalesce(' from ' || host(a.client_addr), '')
            FROM pg_locks l JOIN pg_stat_activity a USING (pid)
            WHERE l.locktype = 'advisory' AND l.granted AND l.classid = %s AND l.objid = %s::int8
              AND l.objsubid = 2
              AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            """,
            (OURS, _key(database) % 2**32),
        ).fetchone()
        return found


def _key(database: str) -> int:
    """The second half: 32 bits with sign, as the function takes them."""
    number = zlib.crc32(database.encode())
    return number - 2**32 if number >= 2**31 else number
