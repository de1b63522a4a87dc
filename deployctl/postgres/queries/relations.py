"""Find tables, with their sizes, their row counts and the role's privilege to read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import class_row, scalar_row

from deployctl.postgres.queries.rows import one


@dataclass(frozen=True)
class QualifiedName:
    """The name of a table with its schema."""

    schema: str
    name: str

    @property
    def key(self) -> str:
        """Return "schema.table" as people and manifests write it; not for use in SQL."""
        return f"{self.schema}.{self.name}"

    @property
    def identifier(self) -> sql.Identifier:
        """Return the quoted name for use in SQL."""
        return sql.Identifier(self.schema, self.name)


@dataclass(frozen=True)
class Relation(QualifiedName):
    """An ordinary table whose rows a dump contains.

    Args:
        size_bytes: of the table with its TOAST data and without its indexes, which is what a dump reads.
        estimated_rows: as of the last ANALYZE or VACUUM; -1 if there was none.
        readable: True if the session's role may SELECT from it.
    """

    oid: int
    size_bytes: int
    estimated_rows: int
    readable: bool


def tables(
    connection: psycopg.Connection, *, schema: str | None = None, sizes: bool = True
) -> list[Relation]:
    """Return the application's tables, largest first.

    Partitions are included and their parents are not, so that no row counts twice. Tables whose rows pg_dump
    omits are left out: system, temporary and foreign tables, and those that belong to an extension.

    Args:
        schema: limits the result to this schema.
        sizes: False returns sizes of 0. PostgreSQL locks a table to read its size, which would wait for a
            lock of another session.
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
    """Return the exact number of rows of a table in the current snapshot.

    Args:
        relation: such as `Relation.identifier` or `sql.Identifier("Plan")`.
        only: leave out the rows of tables that inherit from it.
    """
    with connection.cursor(row_factory=scalar_row) as cursor:
        statement = sql.SQL("SELECT count(*) FROM {} {}").format(sql.SQL("ONLY" if only else ""), relation)
        return int(one(cursor.execute(statement).fetchone()))


def count_where(
    connection: psycopg.Connection, table: sql.Identifier, where: Mapping[str, str | int | bool]
) -> int:
    """Return the number of rows that have the given values.

    Args:
        table: from `find`.
        where: column to value; compared as text, so that values of enum types need no cast.
    """
    condition = sql.SQL(" AND ").join(
        sql.SQL("{}::text = {}").format(sql.Identifier(column), sql.Placeholder()) for column in where
    )
    values = [str(value).lower() if isinstance(value, bool) else str(value) for value in where.values()]
    with connection.cursor(row_factory=scalar_row) as cursor:
        statement = sql.SQL("SELECT count(*) FROM {} WHERE {}").format(table, condition)
        return int(one(cursor.execute(statement, values).fetchone()))


def find(connection: psycopg.Connection, name: str, *, schema: str | None = None) -> sql.Identifier | None:
    """Return the quoted name of a table or view, or None.

    Args:
        name: unquoted, case-sensitive.
        schema: the schema to search; None for the session's search_path.
    """
    with connection.cursor(row_factory=class_row(QualifiedName)) as cursor:
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
    return row.identifier if row else None


def schema_of(connection: psycopg.Connection, name: str) -> str | None:
    """Return the schema of a table, view or sequence; None if the name isn't found or is ambiguous."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        found: list[str] = cursor.execute(
            """
            SELECT n.nspname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') LIMIT 2
            """,
            (name,),
        ).fetchall()
    return found[0] if len(found) == 1 else None


def disable_row_security(connection: psycopg.Connection) -> None:
    """Make statements fail if a row security policy would hide rows, as pg_dump does."""
    connection.execute("SET row_security = off")
