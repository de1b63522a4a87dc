"""Settings of our own session on a target."""

from __future__ import annotations

import psycopg

# `client_connection_check_interval` came with PostgreSQL 14.
CHECKS_CLIENT_FROM = 140000


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
