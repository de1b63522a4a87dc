"""Compute the row count and the content digest of tables, to compare a copy with its original.

The server computes the digest in one pass (with parallel workers for a large table) and in constant memory:
the first 64 bits of the SHA-256 of each row's text, summed over all rows modulo 2**64.

- A sum doesn't depend on the order of the rows, which can change in a restore. It does count duplicate rows;
  with XOR, two equal rows would cancel each other, and the loss of both would not be detected.
- SHA-256 gives the same value in every version and on every machine, unlike PostgreSQL's `hashtext`, and is
  allowed where MD5 is not (FIPS). Rows are hashed as text, because their binary form contains type OIDs,
  which differ in a restored copy. `record_out` quotes every value and ignores casts that the application
  defines on its row types.
- Two different tables with the same number of rows have equal digests with a probability of 1 in 2**64. With
  128 bits, the computation took twice as long. A sum of hashes doesn't protect against rows that are
  constructed on purpose; the SHA-256 of each file and of the manifest does.
- The text of a value depends on settings of the session; `prepare` fixes them.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import class_row, tuple_row

from deployctl.postgres.queries.rows import one

# The text of dates, intervals, floats, byte strings, money and object names depends on these settings.
# pg_dump fixes most of them, too, except `lc_monetary`, which only has to be equal for both copies.
SETTINGS = {
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "search_path": "",
}
# Large objects are read in chunks, because one may be larger than the server's memory.
CHUNK_BYTES = 1 << 20

CONTENT = """
    SELECT count(*) AS rows,
           coalesce(sum(('x' || encode(substr(sha256({bytes}), 1, 8), 'hex'))::bit(64)::bigint), 0) AS total
    FROM {rows}
"""
ROW_BYTES = "convert_to(textin(record_out(t.*)), getdatabaseencoding())"
# The hash covers the object and the offset of the chunk, so that swapped chunks are detected.
LARGE_OBJECT_BYTES = "convert_to(oid || ':' || {offset} || ':', 'UTF8') || lo_get(oid, {offset}, {size})"


@dataclass(frozen=True)
class Content:
    """The row count and the digest of a table; `digest` is 16 hexadecimal digits."""

    rows: int
    digest: str


@dataclass(frozen=True)
class _Sum:
    rows: int
    total: int


def prepare(connection: psycopg.Connection) -> None:
    """Fix the session's settings that the text of rows depends on."""
    for name, value in SETTINGS.items():
        connection.execute("SELECT pg_catalog.set_config(%s, %s, false)", (name, value))


def table_content(connection: psycopg.Connection, relation: sql.Composable) -> Content:
    """Return the row count and the digest of a table, without the rows of tables that inherit from it.

    Args:
        connection: a session after `prepare`.
        relation: such as `Relation.identifier`.
    """
    found = _sum(connection, sql.SQL(ROW_BYTES), sql.SQL("ONLY {} AS t").format(relation))
    return Content(found.rows, _hexadecimal(found.total))


def large_objects_content(connection: psycopg.Connection) -> Content:
    """Return the number (as `rows`) and the digest of the database's large objects.

    Raises:
        psycopg.errors.InsufficientPrivilege: the role may not read one of them, so pg_dump can't either.
    """
    with connection.cursor(row_factory=tuple_row) as cursor:
        objects = [
            oid for (oid,) in cursor.execute("SELECT oid::bigint FROM pg_largeobject_metadata").fetchall()
        ]
    count, total, offset = len(objects), 0, 0
    while objects:
        chunk = sql.SQL(LARGE_OBJECT_BYTES).format(offset=sql.Literal(offset), size=sql.Literal(CHUNK_BYTES))
        chunks = sql.SQL("unnest({}::oid[]) AS chunk(oid)").format(sql.Literal(objects))
        total += _sum(connection, chunk, chunks).total
        offset += CHUNK_BYTES
        objects = _longer_than(connection, objects, offset)
    return Content(count, _hexadecimal(total))


def _longer_than(connection: psycopg.Connection, objects: list[int], size: int) -> list[int]:
    with connection.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(
            """
            SELECT oid::bigint FROM unnest(%(objects)s::oid[]) AS candidate(oid)
            WHERE length(lo_get(oid, %(size)s, 1)) > 0
            """,
            {"objects": objects, "size": size},
        ).fetchall()
    return [oid for (oid,) in rows]


def _sum(connection: psycopg.Connection, hashed: sql.Composable, rows: sql.Composable) -> _Sum:
    with connection.cursor(row_factory=class_row(_Sum)) as cursor:
        return one(cursor.execute(sql.SQL(CONTENT).format(bytes=hashed, rows=rows)).fetchone())


def _hexadecimal(total: int) -> str:
    return f"{int(total) % 2**64:016x}"
