"""Run ANALYZE and VACUUM, query their progress, and find what prevents the removal of dead rows."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

import psycopg
from psycopg import sql
from psycopg.rows import class_row, scalar_row

from deployctl.postgres.queries.relations import QualifiedName

# PostgreSQL 17 added the privilege MAINTAIN; before, only owners can analyze and vacuum.
MAINTAIN_FROM_VERSION = 170000

Work = Literal["analyze", "vacuum"]


@dataclass(frozen=True)
class MaintainableTable(QualifiedName):
    """A table that can be analyzed or vacuumed.

    `runs` is the number of manual runs so far. It shows afterwards if the command had an effect, because the
    server only warns if the role lacks the privilege.
    """

    oid: int
    permitted: bool
    owner: str
    runs: int
    dead_rows: int
    live_rows: int


@dataclass(frozen=True)
class MaintenanceProgress:
    """The progress of an ANALYZE or VACUUM, in blocks of the relation that it is processing."""

    relation: str
    phase: str
    blocks_done: int
    blocks_total: int


@dataclass(frozen=True)
class OldestSnapshot:
    """The session, replication slot or prepared transaction whose snapshot is the oldest.

    VACUUM can't remove rows that this snapshot can see. `age` is in transactions.
    """

    kind: str
    name: str
    since: dt.datetime | None
    age: int


def maintainable_tables(connection: psycopg.Connection, work: Work) -> list[MaintainableTable]:
    """Return the tables and materialized views of this database, in alphabetical order; waits for no lock.

    For ANALYZE, a partitioned table is listed instead of its partitions: it analyzes them, too, and only so
    collects statistics across all of them. For VACUUM, the partitions are listed instead.
    """
    permitted = (
        "OR has_table_privilege(c.oid, 'MAINTAIN')"
        if connection.info.server_version >= MAINTAIN_FROM_VERSION
        else ""
    )
    kinds = (
        "c.relkind IN ('r', 'p', 'm') AND NOT c.relispartition"
        if work == "analyze"
        else "c.relkind IN ('r', 'm')"
    )
    # Built from the literals above only.
    statement = f"""
        SELECT n.nspname AS schema, c.relname AS name, c.oid::bigint AS oid,
               pg_has_role(c.relowner, 'USAGE')
                 OR (SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = current_database())
                 {permitted} AS permitted,
               pg_get_userbyid(c.relowner)::text AS owner,
               coalesce(s.{work}_count, 0) AS runs,
               coalesce(s.n_dead_tup, 0) AS dead_rows, coalesce(s.n_live_tup, 0) AS live_rows
        FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
        WHERE {kinds} AND c.relpersistence <> 't'
          AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
        ORDER BY n.nspname, c.relname
        """  # noqa: S608
    with connection.cursor(row_factory=class_row(MaintainableTable)) as cursor:
        return cursor.execute(statement.encode()).fetchall()


def analyze(connection: psycopg.Connection, table: sql.Composable) -> None:
    """Collect a table's planner statistics; blocks neither reads nor writes."""
    connection.execute(sql.SQL("ANALYZE {}").format(table))


def vacuum(connection: psycopg.Connection, table: sql.Composable, *, analyze: bool, truncate: bool) -> None:
    """Make the space of dead rows reusable; blocks neither reads nor writes, unlike VACUUM FULL.

    Args:
        analyze: collect planner statistics, too.
        truncate: return empty pages at the end of the table to the file system. This takes a brief ACCESS
            EXCLUSIVE lock, or is skipped if the table is in use.
    """
    options = sql.SQL("ANALYZE {}, TRUNCATE {}").format(sql.Literal(analyze), sql.Literal(truncate))
    connection.execute(sql.SQL("VACUUM ({}) {}").format(options, table))


def analyze_progress(connection: psycopg.Connection, application_name: str) -> MaintenanceProgress | None:
    """Return the progress of the ANALYZE of the session with an application name, or None."""
    return _progress(
        connection,
        """
        SELECT coalesce(nullif(p.current_child_table_relid, 0), p.relid)::regclass::text AS relation, p.phase,
               p.sample_blks_scanned AS blocks_done, p.sample_blks_total AS blocks_total
        FROM pg_stat_progress_analyze p JOIN pg_stat_activity a USING (pid)
        WHERE a.application_name = %s AND p.relid <> 0 LIMIT 1
        """,
        application_name,
    )


def vacuum_progress(connection: psycopg.Connection, application_name: str) -> MaintenanceProgress | None:
    """Return the progress of the VACUUM of the session with an application name, or None."""
    return _progress(
        connection,
        """
        SELECT p.relid::regclass::text AS relation, p.phase,
               CASE WHEN p.phase = 'vacuuming heap' THEN p.heap_blks_vacuumed
                    ELSE p.heap_blks_scanned END AS blocks_done,
               p.heap_blks_total AS blocks_total
        FROM pg_stat_progress_vacuum p JOIN pg_stat_activity a USING (pid)
        WHERE a.application_name = %s AND p.relid <> 0 LIMIT 1
        """,
        application_name,
    )


def oldest_snapshot(connection: psycopg.Connection) -> OldestSnapshot | None:
    """Return the oldest snapshot of others that prevents the removal of dead rows, or None.

    It belongs to a long transaction, a replication slot or a prepared transaction (PostgreSQL manual,
    "Routine Vacuuming").
    """
    with connection.cursor(row_factory=class_row(OldestSnapshot)) as cursor:
        return cursor.execute(
            """
            SELECT kind, name, since, age FROM (
                SELECT 'session' AS kind, pid || coalesce(' of role ' || usename, '')
                         || coalesce(' (' || nullif(application_name, '') || ')', '') AS name,
                       xact_start AS since, age(backend_xmin)::bigint AS age
                FROM pg_stat_activity
                WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid() AND datname = current_database()
                UNION ALL
                SELECT 'replication slot', slot_name::text, NULL, age(xmin)::bigint
                FROM pg_replication_slots WHERE xmin IS NOT NULL
                UNION ALL
                SELECT 'prepared transaction', gid, prepared, age(transaction)::bigint
                FROM pg_prepared_xacts WHERE database = current_database()
            ) held ORDER BY age DESC LIMIT 1
            """
        ).fetchone()


def _progress(
    connection: psycopg.Connection, statement: str, application_name: str
) -> MaintenanceProgress | None:
    with connection.cursor(row_factory=class_row(MaintenanceProgress)) as cursor:
        return cursor.execute(statement.encode(), (application_name,)).fetchone()


def runs_of(connection: psycopg.Connection, oid: int, work: Work) -> int:
    """Return the number of manual ANALYZE or VACUUM runs of a table."""
    statement = f"SELECT coalesce(max({work}_count), 0) FROM pg_stat_all_tables WHERE relid = %s"  # noqa: S608
    with connection.cursor(row_factory=scalar_row) as cursor:
        return int(cursor.execute(statement.encode(), (oid,)).fetchone() or 0)
