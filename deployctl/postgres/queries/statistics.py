"""What the server has counted: work of a database, connections, sizes, statements."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import psycopg
from psycopg import errors, sql
from psycopg.rows import class_row, scalar_row

from deployctl.postgres.queries.rows import one

# The beginning of a statement whose values pg_stat_statements replaces by $1, $2, …
READS_OR_WRITES = r"^\s*(/\*.*?\*/\s*)*(select|insert|update|delete|merge|with|table|values)\M"


@dataclass(frozen=True)
class Work:
    """What a database did since its counters were reset; only the difference of two of these means much.

    Args:
        measured_at: by the server's clock.
        reset_at: since when it is counted; None: since the database was made.
        blocks_hit, blocks_read: found in the server's cache, and not.
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
    """A table with its TOAST data and indexes, in bytes; `rows` is the server's estimate."""

    schema: str
    name: str
    total_bytes: int
    index_bytes: int
    rows: int


@dataclass(frozen=True)
class Statement:
    """What one normalized statement has cost so far. `query` is None where the role may not read it."""

    queryid: int
    role: str
    query: str | None
    calls: int
    total_ms: float
    rows: int
    blocks_hit: int
    blocks_read: int


@dataclass(frozen=True)
class NoStatements:
    """Why there are no figures of statements, and what gives them, as sentences."""

    reason: str


def work(connection: psycopg.Connection) -> Work:
    """The counters of the current database."""
    with connection.cursor(row_factory=class_row(Work)) as cursor:
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
    """Client sessions of the current database, by what they do now.

    What a session of another role does is told to members of pg_read_all_stats only; others see "hidden".
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


def table_sizes(connection: psycopg.Connection, *, most: int) -> list[TableSize]:
    """The largest tables. Waits for tables that somebody has locked, up to the session's lock_timeout.

    Args:
        most: how many.
    """
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
            (most,),
        ).fetchall()


def statements(connection: psycopg.Connection, *, most: int) -> list[Statement] | NoStatements:
    """The statements of the current database that cost the most time, from pg_stat_statements.

    Only those that read or write rows: others, such as ALTER ROLE … PASSWORD, are kept with their values.

    Args:
        most: how many.
    """
    schema = _extension_schema(connection)
    if schema is None:
        return NoStatements(
            "The extension pg_stat_statements is not installed in this database. Add it to "
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
                    sql.Literal(most),
                )
            ).fetchall()
    except errors.ObjectNotInPrerequisiteState:
        return NoStatements(
            "The extension pg_stat_statements is installed, but the server does not load it. Add it to "
            "shared_preload_libraries and restart the server."
        )
    except errors.InsufficientPrivilege:
        return NoStatements(
            f"Role {connection.info.user} may not read pg_stat_statements. An administrator can permit it: "
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
