"""Open a session with a total time limit that holds even if the server hangs."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import psycopg

from deployctl.postgres.connection import ConnectionSpec, connect
from deployctl.postgres.diagnosis import CannotConnect, Reason


@contextlib.contextmanager
def short_session(spec: ConnectionSpec, *, within_s: float, **options: Any) -> Iterator[psycopg.Connection]:
    """Open a session whose connection is dropped after a time limit.

    A server that hangs, for example because its disk does, keeps the connection open without answering, so
    neither its own timeouts nor those of the network apply.

    Args:
        within_s: the limit for everything in seconds, including the connection.
        options: of `connect`.

    Raises:
        CannotConnect: as `connect` does, or the time limit was exceeded.
    """
    timed_out = threading.Event()
    opened: list[psycopg.Connection] = []

    def drop() -> None:
        timed_out.set()
        for session in opened:
            drop_connection(session)

    timer = threading.Timer(within_s, drop)
    timer.daemon = True
    timer.start()
    try:
        with connect(spec, on_open=opened.append, **options) as session:
            yield session
    except psycopg.Error as error:
        if not timed_out.is_set():
            raise
        raise CannotConnect(
            Reason.TIMEOUT,
            f"{spec.host}:{spec.port} accepted the connection, but didn't answer within {within_s:g} s. "
            "Check whether PostgreSQL or the network hangs.",
        ) from error
    finally:
        timer.cancel()


def drop_connection(session: psycopg.Connection) -> None:
    """Shut down a session's socket, so that a thread that waits for the server gets an error.

    Closing the session itself is not safe while another thread uses it.
    """
    with (
        contextlib.suppress(psycopg.Error, OSError),
        socket.socket(fileno=os.dup(session.fileno())) as connection,
    ):
        connection.shutdown(socket.SHUT_RDWR)
