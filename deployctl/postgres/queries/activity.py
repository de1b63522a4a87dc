"""Query and terminate sessions, and find the sessions that block others."""

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
    """The number of client sessions and its limits.

    `available` is the limit for ordinary roles: `max_connections` without the reserved connections.
    """

    used: int
    available: int
    maximum: int


@dataclass(frozen=True)
class Blocker:
    """A session that blocks another one, or could.

    Args:
        waiting_pid: the PID of the blocked backend.
        waiting_since: the start of the blocked statement.
        query: the blocker's current statement or, if it is idle, its last one; None if the role may not
            read it.
        relation, mode: the relation that the blocked session waits for and the blocker's lock mode on it.
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
        """Return the blocker's PID, role, application, lock, state and query in one line."""
        program = f" ({self.application_name})" if self.application_name else ""
        lock = f", which holds {self.mode} on {self.relation}" if self.mode else ""
        state = f", {self.state}" if self.state else ""
        since = f" since {self.transaction_since:%Y-%m-%d %H:%M:%S %Z}" if self.transaction_since else ""
        query = f": {' '.join(self.query.split())[:300]}" if self.query else ", query not readable"
        return f"session {self.pid} of role {self.role or 'unknown'}{program}{lock}{state}{since}{query}"


def pids_named(connection: psycopg.Connection, prefix: str) -> list[int]:
    """Return the PIDs of other sessions whose application name starts with a prefix.

    Args:
        prefix: such as "deployctl:1f6e02ab:12:"; without the last colon, run 1 would match run 12.
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
    """Terminate the sessions whose application name starts with a prefix, and wait until they are gone.

    A role needs no privilege to terminate its own sessions. Repeated every 0.1 s, because a program that is
    being killed may still open a session.

    Args:
        prefix: see `pids_named`.
        wait_s: the maximum wait in seconds.

    Returns:
        The PIDs of the sessions that still exist.
    """
    deadline = time.monotonic() + wait_s
    while True:
        remaining = pids_named(connection, prefix)
        if not remaining or time.monotonic() > deadline:
            return remaining
        connection.execute(
            """
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE starts_with(application_name, %s) AND pid <> pg_backend_pid()
            """,
            (prefix,),
        )
        time.sleep(POLL_S)


def connection_use(connection: psycopg.Connection) -> ConnectionUse:
    """Return the number of client sessions of the server and its limits."""
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
    """Return the sessions that block a session, the longest transaction first.

    Only members of pg_read_all_stats can read the statements of other roles; for others, `query` and `state`
    are None.

    Args:
        pid: of the blocked session.
    """
    return _blockers(connection, "waiting.pid = %s", pid)


def blockers_of_named(connection: psycopg.Connection, prefix: str) -> list[Blocker]:
    """Return the sessions that block any session whose application name starts with a prefix."""
    return _blockers(connection, "starts_with(waiting.application_name, %s)", prefix)


def exclusive_holders(connection: psycopg.Connection) -> list[Blocker]:
    """Return the sessions that hold an ACCESS EXCLUSIVE lock on a table of this database; waits for no lock.

    Tables created by a transaction that is still open are left out, because no other session can see them.
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
    # `condition` is one of the two literals above, never user input.
    statement = f"""
        SELECT waiting.pid AS waiting_pid, waiting.query_start AS waiting_since, holder.pid,
               holder.usename::text AS role, holder.application_name, holder.state,
               nullif(holder.query, '<insufficient privilege>') AS query,
               holder.xact_start AS transaction_since,
               (SELECT awaited.relation::regclass::text FROM pg_locks awaited
                WHERE awaited.pid = waiting.pid AND NOT awaited.granted AND awaited.relation IS NOT NULL
                LIMIT 1) AS relation,
               (SELECT held.mode FROM pg_locks awaited
                JOIN pg_locks held ON held.relation = awaited.relation AND held.database = awaited.database
                                  AND held.granted AND held.pid = holder.pid
                WHERE awaited.pid = waiting.pid AND NOT awaited.granted LIMIT 1) AS mode
        FROM pg_stat_activity waiting
        CROSS JOIN LATERAL unnest(pg_blocking_pids(waiting.pid)) AS blocking(pid)
        JOIN pg_stat_activity holder ON holder.pid = blocking.pid
        WHERE {condition}
        ORDER BY holder.xact_start NULLS LAST, holder.pid
        """  # noqa: S608
    with connection.cursor(row_factory=class_row(Blocker)) as cursor:
        return cursor.execute(statement.encode(), (value,)).fetchall()
