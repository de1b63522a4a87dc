"""Detect a pooler, and set the limits of a session."""

from __future__ import annotations

import psycopg
from psycopg.rows import scalar_row

from deployctl.postgres.queries.rows import one

# PostgreSQL 14 added client_connection_check_interval.
CHECKS_CLIENT_FROM = 140000


def is_pooled(connection: psycopg.Connection) -> bool:
    """Return True if a pooler is between deployctl and the server.

    The server sends its PID to each client as the cancellation key (PostgreSQL manual, "Start-up"). A pooler
    such as PgBouncer sends a value of its own, because the client's backend changes.
    """
    with connection.cursor(row_factory=scalar_row) as cursor:
        return bool(
            one(cursor.execute("SELECT pg_backend_pid() <> %s", (connection.info.backend_pid,)).fetchone())
        )


def configure_transaction(
    connection: psycopg.Connection, *, statement_timeout_s: float | None, read_only: bool
) -> None:
    """Begin a transaction with limits that are local to it, so that the session keeps none of them.

    Args:
        connection: a session without autocommit.
        statement_timeout_s, read_only: as for `configure`.
    """
    if read_only:
        connection.execute("SET TRANSACTION READ ONLY")
    if statement_timeout_s is not None:
        connection.execute(
            "SELECT set_config('statement_timeout', %s, true)", (f"{int(statement_timeout_s * 1000)}ms",)
        )


def configure(
    connection: psycopg.Connection,
    *,
    statement_timeout_s: float | None = None,
    lock_timeout_s: float | None = None,
    read_only: bool = False,
) -> None:
    """Set the limits of a session.

    Args:
        connection: an autocommit session.
        statement_timeout_s: seconds; None for the server's setting.
        lock_timeout_s: seconds; None for the server's setting.
        read_only: make every transaction read-only.
    """
    settings: dict[str, str] = {}
    if statement_timeout_s is not None:
        settings["statement_timeout"] = f"{int(statement_timeout_s * 1000)}ms"
    if lock_timeout_s is not None:
        settings["lock_timeout"] = f"{int(lock_timeout_s * 1000)}ms"
    if read_only:
        settings["default_transaction_read_only"] = "on"
    if connection.info.server_version >= CHECKS_CLIENT_FROM:
        # Otherwise the statement of a killed worker runs to its end and keeps its locks (measured: 28 s).
        settings["client_connection_check_interval"] = "1s"
    for name, value in settings.items():
        connection.execute("SELECT set_config(%s, %s, false)", (name, value))
