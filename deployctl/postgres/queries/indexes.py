"""Query indexes, and whether they are valid."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg.rows import class_row


@dataclass(frozen=True)
class Index:
    """An index.

    `valid` is False after a failed CREATE INDEX CONCURRENTLY: writes update the index, but queries can't use
    it (CREATE INDEX, "Building Indexes Concurrently").
    """

    schema: str
    table: str
    name: str
    unique: bool
    valid: bool
    ready: bool
    size_bytes: int
    definition: str

    @property
    def is_usable(self) -> bool:
        """Return True if queries can use it."""
        return self.valid and self.ready


def indexes(connection: psycopg.Connection) -> list[Index]:
    """Return every index of the application's tables."""
    with connection.cursor(row_factory=class_row(Index)) as cursor:
        return cursor.execute(
            """
            SELECT n.nspname AS schema, t.relname AS "table", i.relname AS name, x.indisunique AS "unique",
                   x.indisvalid AS valid, x.indisready AS ready, pg_relation_size(i.oid) AS size_bytes,
                   pg_get_indexdef(i.oid) AS definition
            FROM pg_index x
            JOIN pg_class i ON i.oid = x.indexrelid
            JOIN pg_class t ON t.oid = x.indrelid
            JOIN pg_namespace n ON n.oid = t.relnamespace
            WHERE n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
            ORDER BY n.nspname, t.relname, i.relname
            """
        ).fetchall()
