"""Create tables whose dump takes much longer than their creation."""

from __future__ import annotations

import psycopg
from psycopg import sql

ROWS = 4000


def make_large(session: psycopg.Connection, *names: str) -> None:
    """Create tables that are large enough to catch a dump while it runs.

    Each row has one megabyte. The server stores and copies rows compressed to about one percent, but
    decompresses them when they are read, so a dump has to write 4 GB for each table.
    """
    for name in names:
        table = sql.Identifier(name)
        session.execute(
            sql.SQL("CREATE TABLE {} AS SELECT 0 AS n, repeat('x', 1 << 20) AS text").format(table)
        )
        session.execute(
            sql.SQL("INSERT INTO {0} SELECT g, text FROM {0}, generate_series(1, {1}) AS g").format(
                table, sql.Literal(ROWS - 1)
            )
        )
