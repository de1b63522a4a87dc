"""Query the progress of COPY and index builds from the server's progress views."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg.rows import class_row, scalar_row

from deployctl.postgres.queries.rows import one

# PostgreSQL 14 added pg_stat_progress_copy.
COPY_FROM_VERSION = 140000


@dataclass(frozen=True)
class CopyProgress:
    """The progress of a COPY, in rows and in bytes of text; the server doesn't know the total."""

    pid: int
    relation_oid: int
    bytes_done: int
    rows_done: int


@dataclass(frozen=True)
class IndexProgress:
    """The progress of a CREATE INDEX or REINDEX, in blocks and rows of the current phase."""

    pid: int
    relation_oid: int
    relation: str
    phase: str
    blocks_done: int
    blocks_total: int
    rows_done: int
    rows_total: int

    @property
    def measure(self) -> tuple[str, int, int]:
        """Return the unit, the done and the total of the current phase; a total of 0 is unknown."""
        if self.rows_total:
            return "rows", self.rows_done, self.rows_total
        return "blocks", self.blocks_done, self.blocks_total


def copies(connection: psycopg.Connection, application_name: str) -> list[CopyProgress]:
    """Return the running COPY commands of an application name; empty before PostgreSQL 14."""
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
    """Return the running index builds of an application name in this database."""
    with connection.cursor(row_factory=class_row(IndexProgress)) as cursor:
        return cursor.execute(
            """
            SELECT pid, p.relid::bigint AS relation_oid, p.relid::regclass::text AS relation, p.phase,
                   p.blocks_done, p.blocks_total,
                   p.tuples_done AS rows_done, p.tuples_total AS rows_total
            FROM pg_stat_progress_create_index p JOIN pg_stat_activity a USING (pid)
            WHERE a.application_name = %s AND p.datname = current_database() AND p.relid <> 0
            """,
            (application_name,),
        ).fetchall()


def rows_inserted(connection: psycopg.Connection) -> int:
    """Return the number of rows ever inserted into this database's tables by finished transactions."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return int(
            one(
                cursor.execute(
                    "SELECT coalesce(sum(n_tup_ins), 0)::bigint FROM pg_stat_user_tables"
                ).fetchone()
            )
        )
