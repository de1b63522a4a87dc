"""Query constraints and foreign keys, and whether PostgreSQL has validated them."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg.rows import class_row


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key; `columns[i]` refers to `referenced_columns[i]`."""

    schema: str
    table: str
    name: str
    columns: list[str]
    referenced_schema: str
    referenced_table: str
    referenced_columns: list[str]
    validated: bool
    match_full: bool


@dataclass(frozen=True)
class Constraint:
    """A constraint with its definition. `kind`: "check", "foreign key", "primary key", "unique", …"""

    schema: str
    table: str
    name: str
    kind: str
    validated: bool
    definition: str


def foreign_keys(connection: psycopg.Connection) -> list[ForeignKey]:
    """Return the foreign keys of the application's tables; those that partitions inherit are left out."""
    with connection.cursor(row_factory=class_row(ForeignKey)) as cursor:
        return cursor.execute(
            """
            SELECT n.nspname AS schema, t.relname AS "table", k.conname AS name,
                   ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u(number, ordinal)
                         JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number
                         ORDER BY u.ordinal) AS columns,
                   rn.nspname AS referenced_schema, r.relname AS referenced_table,
                   ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS u(number, ordinal)
                         JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.number
                         ORDER BY u.ordinal) AS referenced_columns,
                   k.convalidated AS validated, k.confmatchtype = 'f' AS match_full
            FROM pg_constraint k
            JOIN pg_class t ON t.oid = k.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
            JOIN pg_class r ON r.oid = k.confrelid JOIN pg_namespace rn ON rn.oid = r.relnamespace
            WHERE k.contype = 'f' AND k.conparentid = 0
              AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
            ORDER BY n.nspname, t.relname, k.conname
            """
        ).fetchall()


def constraints(connection: psycopg.Connection) -> list[Constraint]:
    """Return the constraints of the application's tables."""
    with connection.cursor(row_factory=class_row(Constraint)) as cursor:
        return cursor.execute(
            """
            SELECT n.nspname AS schema, t.relname AS "table", k.conname AS name,
                   CASE k.contype WHEN 'c' THEN 'check' WHEN 'f' THEN 'foreign key'
                        WHEN 'p' THEN 'primary key' WHEN 'u' THEN 'unique'
                        WHEN 'x' THEN 'exclusion' WHEN 'n' THEN 'not null'
                        ELSE 'trigger' END AS kind,
                   k.convalidated AS validated, pg_get_constraintdef(k.oid) AS definition
            FROM pg_constraint k
            JOIN pg_class t ON t.oid = k.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
            WHERE n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
            ORDER BY n.nspname, t.relname, k.conname
            """
        ).fetchall()
