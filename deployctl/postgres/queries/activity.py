"""Sessions on the server: ours, everybody's, and who holds what."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass

import psycopg
from psycopg.rows import class_row, scalar_row

from deployctl.postgres.queries.rows import one

POLL_S = 0.1


@dataclass(frozen=True)
class ConnectionUse:
    """How many of the server's connections are taken.

    `available` is what ordinary roles may use: `max_connections` less those kept for superusers.
    """

    used: int
    available: int
    maximum: int


@dataclass(frozen=True)
class Blocker:
    """A session that blocks another one.

    Args:
        waiting_since: when the blocked statement began.
        query: its current statement or, when it is idle, its last one; None if the role may not read it.
    """

    waiting_pid: int
    waiting_since: dt.datetime | None
    pid: int
    role: str | None
    application_name: str | None
    state: str | None
    query: str | None
    transaction_since: dt.datetime | None
    relation: str | None
    mode: str | None

    @property
    def description(self) -> str:
        """Return what people need to find the session's owner: role, application, lock, state and query."""
        program = f" ({self.application_name})" if self.application_name else ""
        lock = f", which holds {self.mode} on {self.relation}" if self.mode else ""
        state = f", {self.state}" if self.state else ""
        since = f" since {self.transaction_since:%Y-%m-%d %H:%M:%S %Z}" if self.transaction_since else ""
        query = f": {' '.join(self.query.split())[:300]}" if self.query else ", query not readable"
        return f"session {self.pid} of role {self.role or 'unknown'}{program}{lock}{state}{since}{query}"


def pids_named(connection: psycopg.Connection, prefix: str) -> list[int]:
    """Sessions, other than this one, whose application name starts with a prefix.

    Args:
        prefix: such as "deployctl:1f6e02ab:12:"; with its last colon, or run 1 would match run 12.
    """
    with connection.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            """
            SELECT pid FROM pg_stat_activity
            WHERE starts_with(application_name, %s) AND pid <> pg_backend_pid() ORDER BY pid
            """,
            (prefix,),
        ).fetchall()


def terminate_named(connection: psycopg.Connection, prefix: str, *, wait_s: float = 5.0) -> list[int]:
    """End the sessions whose application name starts with a prefix, and wait until they are gone.

    A role may end its own sessions without further rights. Asked again every 0.1 s, for a program that is
    being killed may still open one.

    Args:
        prefix: see `pids_named`.
        wait_s: how long to wait, in seconds.

    Returns:
        The process ids that are still there: empty when all is well.
    """
    deadline = time.monotonic() + wait_s
    while True:
        left = pids_named(connection, prefix)
        if not left or time.monotonic() > deadline:
            return left
        connection.execute(
            """
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE starts_with(application_name, %s) AND pid <> pg_backend_pid()
            """,
            (prefix,),
        )
        time.sleep(POLL_S)


def connection_use(connection: psycopg.Connection) -> ConnectionUse:
    """Client sessions against the limit."""
    with connection.cursor(row_factory=class_row(ConnectionUse)) as cursor:
        return one(
            cursor.execute(
                """
                SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS used,
                       current_setting('max_connections')::int
                         - current_setting('superuser_reserved_connections')::int
                         - coalesce(current_setting('reserved_connections', true)::int, 0) AS available,
                       current_setting('max_connections')::int AS maximum
                """
            ).fetchone()
        )


def blockers_of(connection: psycopg.Connection, pid: int) -> list[Blocker]:
    """Which sessions a waiting session waits for, since when, and what they ran.

    Another role's statement is readable only for members of pg_read_all_stats; otherwise `query` and
    `state` are None, and the process id still names the session.

    Args:
        pid: the session that waits.
    """
    return _blockers(connection, "waiting.pid = %s", pid)


def blockers_of_named(connection: psycopg.Connection, prefix: str) -> list[Blocker]:
    """The same for all sessions whose application name starts with a prefix."""
    return _blockers(connection, "starts_with(waiting.application_name, %s)", prefix)


def exclusive_holders(connection: psycopg.Connection) -> list[Blocker]:
    """Sessions that keep everybody else from reading a table of this database. Waits for nothing.

    Tables of transactions that are not committed do not show: nobody can wait for them.
    """
    with connection.cursor(row_factory=class_row(Blocker)) as cursor:
        return cursor.execute(
            """
            SELECT pg_backend_pid() AS waiting_pid, NULL::timestamptz AS waiting_since, holder.pid,
                   holder.usename::text AS role, holder.application_name, holder.state,
                   nullif(holder.query, '<insufficient privilege>') AS query,
                   holder.xact_start AS transaction_since, c.oid::regclass::text AS relation, held.mode
            FROM pg_locks held
            JOIN pg_class c ON c.oid = held.relation
            JOIN pg_stat_activity holder ON holder.pid = held.pid
            WHERE held.granted AND held.mode = 'AccessExclusiveLock' AND held.pid <> pg_backend_pid()
              AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
              AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
            ORDER BY holder.xact_start NULLS LAST, holder.pid, relation
            """
        ).fetchall()


def _blockers(connection: psycopg.Connection, condition: str, value: int | str) -> list[Blocker]:
    # `condition` is one of the two literals above, never anything from outside.
    statement = f"""
        SELECT waiting.pid AS waiting_pid, waiting.query_start AS waiting_since, holder.pid,
               holder.usename::text AS role, holder.application_name, holder.state,
               nullif(holder.query, '<insufficient privilege>') AS query,
               holder.xact_start AS transaction_since,
               (SELECT wanted.relation::regclass::text FROM pg_locks wanted
                WHERE wanted.pid = waiting.pid AND NOT wanted.granted AND wanted.relation IS NOT NULL
                LIMIT 1) AS relation,
               (SELECT held.mode FROM pg_locks wanted
                JOIN pg_locks held ON held.relation = wanted.relation AND held.database = wanted.database
                                  AND held.granted AND held.pid = holder.pid
                WHERE wanted.pid = waiting.pid AND NOT wanted.granted LIMIT 1) AS mode
        FROM pg_stat_activity waiting
        CROSS JOIN LATERAL unnest(pg_blocking_pids(waiting.pid)) AS blocking(pid)
        JOIN pg_stat_activity holder ON holder.pid = blocking.pid
        WHERE {condition}
        ORDER BY holder.xact_start NULLS LAST, holder.pid
        """  # noqa: S608
    with connection.cursor(row_factory=class_row(Blocker)) as cursor:
        return cursor.execute(statement.encode(), (value,)).fetchall()
