"""Tables whose dump takes many times as long as making them does."""

from __future__ import annotations

import psycopg
from psycopg import sql

ROWS = 4000


def make_large(session: psycopg.Connection, *names: str) -> None:
    """Make tables that a dump cannot have finished before somebody looks at it.

    Each row is a megabyte. The server keeps it compressed to a hundredth and copies it so, but unpacks it for
    whoever reads it: 4 GB of each table go to a dump, on however busy a machine.
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
