"""How far the server is with work of ours, from its progress views."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg.rows import class_row

# pg_stat_progress_copy came with PostgreSQL 14.
COPY_FROM_VERSION = 140000


@dataclass(frozen=True)
class CopyProgress:
    """One COPY that runs now: rows and bytes of text so far; the server does not know the total."""

    pid: int
    relation_oid: int
    bytes_done: int
    rows_done: int


@dataclass(frozen=True)
class IndexProgress:
    """One CREATE INDEX or REINDEX that runs now. Blocks and rows are those of the current phase."""

    pid: int
    relation_oid: int
    phase: str
    blocks_done: int
    blocks_total: int
    rows_done: int
    rows_total: int


def copies(connection: psycopg.Connection, application_name: str) -> list[CopyProgress]:
    """The COPY commands of the sessions with an application name; none on servers before 14."""
    if connection.info.server_version < COPY_FROM_VERSION:
        return []
    with connection.cursor(row_factory=class_row(CopyProgress)) as cursor:
        return cursor.execute(
            """
            SELECT pid, p.relid::bigint AS relation_oid, p.bytes_processed AS bytes_done,
                   p.tuples_processed AS rows_done
            FROM pg_stat_progress_copy p JOIN pg_stat_activity a USING (pid)
            WHERE a.application_name = %s AND p.relid <> 0
            """,
            (application_name,),
        ).fetchall()


def index_builds(connection: psycopg.Connection, application_name: str) -> list[IndexProgress]:
    """The index builds of the sessions with an application name."""
    with connection.cursor(row_factory=class_row(IndexProgress)) as cursor:
        return cursor.execute(
            """
            SELECT pid, p.relid::bigint AS relation_oid, p.phase, p.blocks_done, p.blocks_total,
                   p.tuples_done AS rows_done, p.tuples_total AS rows_total
            FROM pg_stat_progress_create_index p JOIN pg_stat_activity a USING (pid)
            WHERE a.application_name = %s
            """,
            (application_name,),
        ).fetchall()
