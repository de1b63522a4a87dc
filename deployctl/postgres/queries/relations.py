"""Tables: which there are, how large, how many rows, and which we may read."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import class_row, scalar_row

from deployctl.postgres.queries.rows import one


@dataclass(frozen=True)
class Relation:
    """An ordinary table that a dump holds rows of.

    Args:
        size_bytes: table and its TOAST data, without indexes: what a dump has to read.
        estimated_rows: as of the last ANALYZE or VACUUM; -1 where there was none.
        readable: whether the session's role may SELECT from it.
    """

    schema: str
    name: str
    oid: int
    size_bytes: int
    estimated_rows: int
    readable: bool

    @property
    def key(self) -> str:
        """ "schema.table", as people and manifests write it; not for use in SQL."""
        return f"{self.schema}.{self.name}"

    @property
    def identifier(self) -> sql.Identifier:
        """For use in SQL."""
        return sql.Identifier(self.schema, self.name)


def tables(
    connection: psycopg.Connection, *, schema: str | None = None, sizes: bool = True
) -> list[Relation]:
    """The tables that hold an application's rows, largest first.

    Partitions count, their parents do not, so that nothing counts twice. Left out as pg_dump leaves their
    rows out: system and temporary tables, foreign tables, and tables that belong to an extension.

    Args:
        schema: only this one.
        sizes: False leaves them 0. PostgreSQL locks a table to read its size, so that a table which somebody
            has locked would be waited for.
    """
    with connection.cursor(row_factory=class_row(Relation)) as cursor:
        return cursor.execute(
            """
            SELECT n.nspname AS schema, c.relname AS name, c.oid::bigint AS oid,
                   CASE WHEN %(sizes)s THEN pg_table_size(c.oid) ELSE 0 END AS size_bytes,
                   c.reltuples::bigint AS estimated_rows,
                   has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE') AS readable
            FROM pg_class c
            JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind = 'r' AND c.relpersistence <> 't'
              AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%%'
              AND (%(schema)s::text IS NULL OR n.nspname = %(schema)s)
              AND NOT EXISTS (SELECT FROM pg_depend d
                              WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
            ORDER BY size_bytes DESC, n.nspname, c.relname
            """,
            {"schema": schema, "sizes": sizes},
        ).fetchall()


def count_rows(connection: psycopg.Connection, relation: sql.Composable, *, only: bool = False) -> int:
    """Exactly how many rows a table has, as the current snapshot sees them.

    Args:
        relation: such as `Relation.identifier` or `sql.Identifier("Plan")`.
        only: without the rows of tables that inherit from it, as a dump keeps them apart.
    """
    with connection.cursor(row_factory=scalar_row) as cursor:
        statement = sql.SQL("SELECT count(*) FROM {} {}").format(sql.SQL("ONLY" if only else ""), relation)
        return int(one(cursor.execute(statement).fetchone()))


def find(connection: psycopg.Connection, name: str, *, schema: str | None = None) -> sql.Identifier | None:
    """A table, view or partitioned table by its exact name, None where there is none.

    Args:
        name: unquoted, in exact case.
        schema: searched there; else along the session's search_path.
    """
    with connection.cursor(row_factory=class_row(_Found)) as cursor:
        row = cursor.execute(
            """
            SELECT n.nspname AS schema, c.relname AS name
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relname = %(name)s AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
              AND CASE WHEN %(schema)s::text IS NULL THEN pg_table_is_visible(c.oid)
                       ELSE n.nspname = %(schema)s END
            """,
            {"name": name, "schema": schema},
        ).fetchone()
    return sql.Identifier(row.schema, row.name) if row else None


def disable_row_security(connection: psycopg.Connection) -> None:
    """Have statements fail where a policy would hide rows, as pg_dump does: a silent part is no backup."""
    connection.execute("SET row_security = off")


@dataclass(frozen=True)
class _Found:
    schema: str
    name: str
