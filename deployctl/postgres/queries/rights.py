"""What a role may do, and where the objects are that it may not touch."""

from __future__ import annotations

import psycopg
from psycopg.rows import scalar_row


def schema_of(connection: psycopg.Connection, name: str) -> str | None:
    """The schema of the table, view or sequence of a name, None where there is none or more than one."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        found: list[str] = cursor.execute(
            """
            SELECT n.nspname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') LIMIT 2
            """,
            (name,),
        ).fetchall()
    return found[0] if len(found) == 1 else None
