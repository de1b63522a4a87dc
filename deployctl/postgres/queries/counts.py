"""Counting the rows that an application says it must have."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
from psycopg import sql
from psycopg.rows import scalar_row

from deployctl.postgres.queries.rows import one


def count_where(
    connection: psycopg.Connection, table: sql.Identifier, where: Mapping[str, str | int | bool]
) -> int:
    """How many rows have these values.

    Args:
        table: such as `relations.find` returns.
        where: column to value. Compared as text, so that a value of an enum type needs no cast.
    """
    condition = sql.SQL(" AND ").join(
        sql.SQL("{}::text = {}").format(sql.Identifier(column), sql.Placeholder()) for column in where
    )
    values = [str(value).lower() if isinstance(value, bool) else str(value) for value in where.values()]
    with connection.cursor(row_factory=scalar_row) as cursor:
        statement = sql.SQL("SELECT count(*) FROM {} WHERE {}").format(table, condition)
        return int(one(cursor.execute(statement, values).fetchone()))
