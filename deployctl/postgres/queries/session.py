"""Settings of our own session on a target."""

from __future__ import annotations

import psycopg
from psycopg.rows import scalar_row

from deployctl.postgres.queries.rows import one

# `client_connection_check_interval` came with PostgreSQL 14.
CHECKS_CLIENT_FROM = 140000


def is_pooled(connection: psycopg.Connection) -> bool:
    """Whether something hands out sessions of the server between it and us.

    A server gives its clients the number of its process to cancel by (PostgreSQL manual, 55.2.1). PgBouncer
    and its kind give one of their own, because the process behind a client changes.
    """
    with connection.cursor(row_factory=scalar_row) as cursor:
        return bool(
            one(cursor.execute("SELECT pg_backend_pid() <> %s", (connection.info.backend_pid,)).fetchone())
        )


def configure_transaction(
    connection: psycopg.Connection, *, statement_timeout_s: float | None, read_only: bool
) -> None:
    """Begin a transaction with limits of its own, which leave nothing behind in the session.

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
    """Set limits for the whole session.

    Args:
        connection: an autocommit session.
        statement_timeout_s: seconds; None leaves the server's setting.
        lock_timeout_s: seconds; None leaves the server's setting.
        read_only: refuse writes in every later transaction.
    """
    settings: dict[str, str] = {}
    if statement_timeout_s is not None:
        settings["statement_timeout"] = f"{int(statement_timeout_s * 1000)}ms"
    if lock_timeout_s is not None:
        settings["lock_timeout"] = f"{int(lock_timeout_s * 1000)}ms"
    if read_only:
        settings["default_transaction_read_only"] = "on"
    if connection.info.server_version >= CHECKS_CLIENT_FROM:
        # Without it the statement of a killed worker runs to its end and holds its locks (measured: 28 s).
        settings["client_connection_check_interval"] = "1s"
    for name, value in settings.items():
        connection.execute("SELECT set_config(%s, %s, false)", (name, value))
