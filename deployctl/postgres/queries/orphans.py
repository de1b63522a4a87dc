"""Count orphans: rows whose foreign key refers to a missing row."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from deployctl.postgres.queries.constraints import ForeignKey

SAMPLE = 5


@dataclass(frozen=True)
class Orphans:
    """The number of orphans of a foreign key, with a sample of their referring values."""

    foreign_key: ForeignKey
    count: int
    sample: list[str]


def orphans_of(connection: psycopg.Connection, key: ForeignKey, *, sample: int = SAMPLE) -> Orphans:
    """Return the number of rows that refer to a missing row.

    PostgreSQL plans `NOT EXISTS` as an anti-join: 1.4 s where `NOT IN` took more than 120 s (4 million rows
    that refer to 0.8 million). A row with a NULL in one of the columns refers to nothing (MATCH SIMPLE), so
    it isn't an orphan.

    Args:
        key: from `constraints.foreign_keys`.
        sample: the maximum number of referring values to return.
    """
    child, parent = sql.Identifier("child"), sql.Identifier("parent")
    pairs = list(zip(key.columns, key.referenced_columns, strict=True))
    parts = {
        "table": sql.Identifier(key.schema, key.table),
        "referenced": sql.Identifier(key.referenced_schema, key.referenced_table),
        "values": sql.SQL(", ").join(
            sql.SQL("{}.{}::text").format(child, sql.Identifier(c)) for c, _ in pairs
        ),
        "present": sql.SQL(" AND ").join(
            sql.SQL("{}.{} IS NOT NULL").format(child, sql.Identifier(c)) for c, _ in pairs
        ),
        "same": sql.SQL(" AND ").join(
            sql.SQL("{}.{} = {}.{}").format(parent, sql.Identifier(r), child, sql.Identifier(c))
            for c, r in pairs
        ),
        "sample": sql.Literal(sample),
    }
    statement = sql.SQL(
        """
        WITH orphan AS MATERIALIZED (
            SELECT concat_ws(', ', {values}) AS reference
            FROM {table} AS child
            WHERE {present} AND NOT EXISTS (SELECT FROM {referenced} AS parent WHERE {same})
        )
        SELECT (SELECT count(*) FROM orphan),
               ARRAY(SELECT DISTINCT reference FROM orphan ORDER BY reference LIMIT {sample})
        """
    ).format(**parts)
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(statement).fetchone()
    count, found = row or (0, [])
    return Orphans(foreign_key=key, count=count, sample=found)
