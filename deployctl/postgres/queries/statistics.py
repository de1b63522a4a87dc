"""Query the server's statistics: counters of the database, sessions, table sizes and statements."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import psycopg
from psycopg import errors, sql
from psycopg.rows import class_row, scalar_row

from deployctl.postgres.queries.rows import one

# Statements of these kinds are stored with $1, $2, … instead of their values.
READS_OR_WRITES = r"^\s*(/\*.*?\*/\s*)*(select|insert|update|delete|merge|with|table|values)\M"


@dataclass(frozen=True)
class DatabaseCounters:
    """The counters of a database since their last reset; compare two of them to measure a period.

    Args:
        measured_at: by the server's clock.
        reset_at: the last reset; None if there was none since the database was created.
        blocks_hit, blocks_read: blocks found in shared buffers, and blocks read from disk.
    """

    measured_at: dt.datetime
    reset_at: dt.datetime | None
    commits: int
    rollbacks: int
    blocks_hit: int
    blocks_read: int
    rows_returned: int
    rows_fetched: int
    rows_inserted: int
    rows_updated: int
    rows_deleted: int
    temporary_bytes: int
    deadlocks: int


@dataclass(frozen=True)
class TableSize:
    """The size of a table with its TOAST data and indexes, in bytes; `rows` is the server's estimate."""

    schema: str
    name: str
    total_bytes: int
    index_bytes: int
    rows: int


@dataclass(frozen=True)
class Statement:
    """The cost of a normalized statement so far; `query` is None if the role may not read it."""

    queryid: int
    role: str
    query: str | None
    calls: int
    total_ms: float
    rows: int
    blocks_hit: int
    blocks_read: int


@dataclass(frozen=True)
class StatementsUnavailable:
    """The statistics of statements are not available; `reason` includes the next step."""

    reason: str


def database_counters(connection: psycopg.Connection) -> DatabaseCounters:
    """Return the counters of the current database."""
    with connection.cursor(row_factory=class_row(DatabaseCounters)) as cursor:
        return one(
            cursor.execute(
                """
                SELECT clock_timestamp() AS measured_at, stats_reset AS reset_at, xact_commit AS commits,
                       xact_rollback AS rollbacks, blks_hit AS blocks_hit, blks_read AS blocks_read,
                       tup_returned AS rows_returned, tup_fetched AS rows_fetched,
                       tup_inserted AS rows_inserted, tup_updated AS rows_updated,
                       tup_deleted AS rows_deleted, temp_bytes AS temporary_bytes, deadlocks
                FROM pg_stat_database WHERE datname = current_database()
                """
            ).fetchone()
        )


def sessions_by_state(connection: psycopg.Connection) -> dict[str, int]:
    """Return the number of sessions on the current database by state.

    The state of other roles' sessions is "hidden" unless the role is a member of pg_read_all_stats.
    """
    cursor = connection.execute(
        """
        SELECT coalesce(state, 'hidden'), count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type IS DISTINCT FROM 'parallel worker'
          AND pid <> pg_backend_pid()
        GROUP BY 1 ORDER BY 1
        """
    )
    return dict(cursor.fetchall())


def table_sizes(connection: psycopg.Connection, *, limit: int) -> list[TableSize]:
    """Return the largest tables; waits for locked tables up to the session's lock_timeout."""
    with connection.cursor(row_factory=class_row(TableSize)) as cursor:
        return cursor.execute(
            """
            SELECT n.nspname AS schema, c.relname AS name, pg_total_relation_size(c.oid) AS total_bytes,
                   pg_indexes_size(c.oid) AS index_bytes, c.reltuples::bigint AS rows
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't'
              AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%%'
            ORDER BY total_bytes DESC, n.nspname, c.relname LIMIT %s
            """,
            (limit,),
        ).fetchall()


def statements(connection: psycopg.Connection, *, limit: int) -> list[Statement] | StatementsUnavailable:
    """Return the statements of the current database with the most total time, from pg_stat_statements.

    Only statements that read or write rows are included: utility statements, such as ALTER ROLE … PASSWORD,
    are stored with their values.
    """
    schema = _extension_schema(connection)
    if schema is None:
        return StatementsUnavailable(
            "The extension pg_stat_statements isn't installed in this database. Add it to "
            "shared_preload_libraries, restart the server, and run CREATE EXTENSION pg_stat_statements."
        )
    try:
        with connection.cursor(row_factory=class_row(Statement)) as cursor:
            return cursor.execute(
                sql.SQL(
                    """
                    SELECT s.queryid, coalesce(r.rolname, '') AS role,
                           nullif(left(s.query, 500), '<insufficient privilege>') AS query,
                           s.calls, s.total_exec_time AS total_ms, s.rows,
                           s.shared_blks_hit AS blocks_hit, s.shared_blks_read AS blocks_read
                    FROM {} s LEFT JOIN pg_roles r ON r.oid = s.userid
                    WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
                      AND s.queryid IS NOT NULL
                      AND s.query ~* {}
                    ORDER BY s.total_exec_time DESC, s.queryid LIMIT {}
                    """
                ).format(
                    sql.Identifier(schema, "pg_stat_statements"),
                    sql.Literal(READS_OR_WRITES),
                    sql.Literal(limit),
                )
            ).fetchall()
    except errors.ObjectNotInPrerequisiteState:
        return StatementsUnavailable(
            "The extension pg_stat_statements is installed, but the server doesn't load it. Add it to "
            "shared_preload_libraries and restart the server."
        )
    except errors.InsufficientPrivilege:
        return StatementsUnavailable(
            f"Role {connection.info.user} may not read pg_stat_statements. An administrator can allow it: "
            f"GRANT pg_read_all_stats TO {sql.Identifier(connection.info.user).as_string(connection)};"
        )


def _extension_schema(connection: psycopg.Connection) -> str | None:
    with connection.cursor(row_factory=scalar_row) as cursor:
        found: str | None = cursor.execute(
            """
            SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
            WHERE e.extname = 'pg_stat_statements'
            """
        ).fetchone()
        return found
