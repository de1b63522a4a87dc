"""Take a snapshot of everything in which two copies of a database can differ."""

from __future__ import annotations

import difflib
import itertools
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from deployctl.postgres import process
from deployctl.postgres.connection import ConnectionSpec, connect
from deployctl.postgres.queries import digests, relations
from deployctl.postgres.queries.digests import Content
from deployctl.postgres.tools import find_tool

SCHEMA_TIMEOUT_S = 300
SHOWN = 20
# Lines that differ from dump to dump: a random key, and comments about the dump.
VARYING = re.compile(r"^(?:\\(?:un)?restrict .*|-- (?:Dumped|Started|Completed).*)$", re.MULTILINE)


@dataclass(frozen=True)
class Snapshot:
    """The state of one database.

    Args:
        contents: digests of every table, every populated materialized view, and all large objects.
        sequences: last value and `is_called` of every sequence.
        schema: output of pg_dump, without owners, privileges and replication, which a restore skips.
        properties: of the database itself, such as settings.
    """

    contents: dict[str, Content]
    sequences: dict[str, tuple[int, bool]]
    schema: str
    properties: dict[str, object]

    @property
    def tables(self) -> int:
        """The number of tables, including partitions."""
        return sum(1 for name in self.contents if name.startswith("table "))

    def differences(self, other: Snapshot) -> list[str]:
        """Return one line for each difference from another snapshot."""
        found = []
        for ours, theirs in (
            (self.contents, other.contents),
            (self.sequences, other.sequences),
            (self.properties, other.properties),
        ):
            names = sorted({*ours, *theirs})
            found += [
                f"{n}: {ours.get(n)} became {theirs.get(n)}" for n in names if ours.get(n) != theirs.get(n)
            ]
        lines = difflib.unified_diff(self.schema.splitlines(), other.schema.splitlines(), lineterm="", n=0)
        return found + [f"schema: {line}" for line in itertools.islice(lines, 2, 2 + SHOWN)]


def take(spec: ConnectionSpec) -> Snapshot:
    """Take a snapshot, which reads every row once."""
    with connect(spec, application_name="roundtrip") as session:
        properties = _properties(session)
        relations.disable_row_security(session)
        digests.prepare(session)
        contents = {
            f"table {table.key}": digests.table_content(session, table.identifier)
            for table in relations.tables(session, sizes=False)
        }
        contents |= {
            f"view {schema}.{name}": digests.table_content(session, sql.Identifier(schema, name))
            for schema, name in _rows(
                session, "SELECT schemaname, matviewname FROM pg_matviews WHERE ispopulated ORDER BY 1, 2"
            )
        }
        contents["large objects"] = digests.large_objects_content(session)
        sequences = {
            f"sequence {schema}.{name}": _sequence(session, sql.Identifier(schema, name))
            for schema, name in _rows(
                session, "SELECT schemaname, sequencename FROM pg_sequences ORDER BY 1, 2"
            )
        }
        version = session.info.server_version
    return Snapshot(contents, sequences, _schema(spec, version), properties)


def _rows(session: psycopg.Connection, statement: str) -> list[tuple[str, str]]:
    with session.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute(statement.encode()).fetchall()


def _sequence(session: psycopg.Connection, sequence: sql.Identifier) -> tuple[int, bool]:
    with session.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(sql.SQL("SELECT last_value, is_called FROM {}").format(sequence)).fetchone()
    assert row is not None
    return row


def _properties(session: psycopg.Connection) -> dict[str, object]:
    with session.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(
            """
            SELECT shobj_description(d.oid, 'pg_database'), d.datconnlimit, pg_encoding_to_char(d.encoding),
                   d.datcollate, d.datctype,
                   (SELECT array_agg(s.setrole || ': ' || entry ORDER BY s.setrole, entry)
                    FROM pg_db_role_setting s, unnest(s.setconfig) AS entry WHERE s.setdatabase = d.oid),
                   (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(d.datacl) AS a)
            FROM pg_database d WHERE datname = current_database()
            """
        ).fetchone()
    assert row is not None
    names = (
        "comment",
        "connection limit",
        "encoding",
        "collation",
        "character type",
        "settings",
        "privileges",
    )
    return dict(zip((f"database's {name}" for name in names), row, strict=True))


def _schema(spec: ConnectionSpec, server_version: int) -> str:
    tool = find_tool("pg_dump", server_major=server_version // 10000)
    with tempfile.TemporaryDirectory(prefix="deployctl-roundtrip-") as folder:
        path = Path(folder) / "schema.sql"
        argv = [str(tool.path), "--schema-only", "--no-owner", "--no-privileges", f"--file={path}"]
        argv += ["--no-publications", "--no-subscriptions", "--no-password"]
        with process.child_environment(spec, application_name="roundtrip") as env:
            completed = process.run(argv, env=env, timeout_s=SCHEMA_TIMEOUT_S)
        assert completed.ok, completed
        return VARYING.sub("", path.read_text("utf-8"))
