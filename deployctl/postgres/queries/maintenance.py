"""ANALYZE and VACUUM: what they may work on, how far they are, and what they left."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

import psycopg
from psycopg import sql
from psycopg.rows import class_row, scalar_row

from deployctl.postgres.queries.relations import QualifiedName

# The privilege MAINTAIN came with PostgreSQL 17; before, only owners may.
MAINTAIN_FROM_VERSION = 170000

Work = Literal["analyze", "vacuum"]


@dataclass(frozen=True)
class MaintainableTable(QualifiedName):
    """A table that can be analyzed or vacuumed.

    `runs` counts how often that was done manually so far, which shows afterwards whether it was done again:
    the server only warns if it is not permitted.
    """

    oid: int
    permitted: bool
    owner: str
    runs: int
    dead_rows: int
    live_rows: int


@dataclass(frozen=True)
class MaintenanceProgress:
    """One ANALYZE or VACUUM that runs now, in blocks of the table it is at (a partition, a TOAST table)."""

    relation: str
    phase: str
    blocks_done: int
    blocks_total: int


@dataclass(frozen=True)
class OldestSnapshot:
    """What keeps VACUUM from removing dead rows: the session, slot or transaction with the oldest view."""

    kind: str
    name: str
    since: dt.datetime | None
    age: int


def maintainable_tables(connection: psycopg.Connection, work: Work) -> list[MaintainableTable]:
    """The tables and materialized views of this database, in alphabetical order.

    ANALYZE of a partitioned table does its partitions, too, and only so are there statistics over all of
    them; therefore it stands for them. VACUUM has nothing to do in a partitioned table itself, so its
    partitions stand for it. Waits for no lock.
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
    # Made of the literals above only.
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
    """Gather a table's statistics for the planner. Blocks no reading and no writing."""
    connection.execute(sql.SQL("ANALYZE {}").format(table))


def vacuum(connection: psycopg.Connection, table: sql.Composable, *, analyze: bool, truncate: bool) -> None:
    """Free the space of dead rows for new ones. Blocks no reading and no writing; never FULL, which does.

    Args:
        analyze: gather statistics, too.
        truncate: give empty blocks at the end back to the file system, for which the table is locked
            for a moment, if nobody else is at it.
    """
    options = sql.SQL("ANALYZE {}, TRUNCATE {}").format(sql.Literal(analyze), sql.Literal(truncate))
    connection.execute(sql.SQL("VACUUM ({}) {}").format(options, table))


def analyze_progress(connection: psycopg.Connection, application_name: str) -> MaintenanceProgress | None:
    """How far the ANALYZE of the session with an application name is; None when none runs."""
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
    """How far the VACUUM of the session with an application name is; None when none runs."""
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
    """Who keeps the oldest dead rows from being removed here; None where nobody else does.

    Long transactions, replication slots and prepared ones do (PostgreSQL manual, "Routine Vacuuming").
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
    """How often a table was analyzed or vacuumed by hand."""
    statement = f"SELECT coalesce(max({work}_count), 0) FROM pg_stat_all_tables WHERE relid = %s"  # noqa: S608
    with connection.cursor(row_factory=scalar_row) as cursor:
        return int(cursor.execute(statement.encode(), (oid,)).fetchone() or 0)
