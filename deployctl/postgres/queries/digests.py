"""What tables hold, as a count and a digest that two copies can be compared by, whatever their order.

The digest of a table is made on the server, in one pass (by parallel workers where it is large) and in
constant memory: the first 64 bits of the SHA-256 of each row's text, summed up over all rows modulo 2**64.

- A sum forgets the order, which a restored table need not keep. It does count repeated rows; with XOR two
  equal rows would cancel out, and losing both would not show.
- SHA-256 is the same in every version and on every machine, unlike PostgreSQL's `hashtext`, and is allowed
  where MD5 is not (FIPS). A row is hashed as text, for the binary form of a row carries type numbers (oid)
  that a restored copy does not keep. `record_out` quotes every value, and a cast that the application defined
  on its own row type cannot get in between.
- Two different tables with equally many rows agree by accident once in 2**64. Taking 128 bits was measured to
  take twice as long. Against somebody who makes up rows on purpose no sum of hashes is a proof; that is what
  the SHA-256 of every file and of the manifest is for.
- The text of a value depends on settings of the session; `prepare` fixes all that matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import class_row, tuple_row

from deployctl.postgres.queries.rows import one

# What the text of dates, intervals, floats, byte strings, money and names of objects depends on. pg_dump
# fixes most of them, too; not `lc_monetary`, which only has to be the same on both sides of a comparison.
SETTINGS = {
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "search_path": "",
}
# A large object is read in pieces of this size, in bytes, because one may be larger than the server's memory.
PIECE_BYTES = 1 << 20

CONTENT = """
    SELECT count(*) AS rows,
           coalesce(sum(('x' || encode(substr(sha256({bytes}), 1, 8), 'hex'))::bit(64)::bigint), 0) AS total
    FROM {rows}
"""
BYTES_OF_ROW = "convert_to(textin(record_out(t.*)), getdatabaseencoding())"
# The piece's place is part of what is hashed; so pieces that changed places are found.
BYTES_OF_PIECE = "convert_to(oid || ':' || {offset} || ':', 'UTF8') || lo_get(oid, {offset}, {size})"


@dataclass(frozen=True)
class Content:
    """What one table holds. `digest` is 16 hexadecimal digits."""

    rows: int
    digest: str


@dataclass(frozen=True)
class _Sum:
    rows: int
    total: int


def prepare(connection: psycopg.Connection) -> None:
    """Fix the settings that the text of rows depends on, for the rest of the session."""
    for name, value in SETTINGS.items():
        connection.execute("SELECT pg_catalog.set_config(%s, %s, false)", (name, value))


def of_table(connection: psycopg.Connection, relation: sql.Composable) -> Content:
    """What a table holds, without the rows of tables that inherit from it, as a dump keeps them apart.

    Args:
        connection: prepared.
        relation: such as `Relation.identifier`.
    """
    found = _sum(connection, sql.SQL(BYTES_OF_ROW), sql.SQL("ONLY {} AS t").format(relation))
    return Content(found.rows, _hexadecimal(found.total))


def of_large_objects(connection: psycopg.Connection) -> Content:
    """What the large objects of the database hold; `rows` is how many there are.

    Raises:
        psycopg.errors.InsufficientPrivilege: the role may not read one of them; nor could pg_dump.
    """
    with connection.cursor(row_factory=tuple_row) as cursor:
        objects = [
            oid for (oid,) in cursor.execute("SELECT oid::bigint FROM pg_largeobject_metadata").fetchall()
        ]
    count, total, offset = len(objects), 0, 0
    while objects:
        piece = sql.SQL(BYTES_OF_PIECE).format(offset=sql.Literal(offset), size=sql.Literal(PIECE_BYTES))
        pieces = sql.SQL("unnest({}::oid[]) AS piece(oid)").format(sql.Literal(objects))
        total += _sum(connection, piece, pieces).total
        offset += PIECE_BYTES
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
