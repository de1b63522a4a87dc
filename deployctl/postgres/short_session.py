"""A short session that ends within a time limit, also when the server hangs."""

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

    A server that hangs, for example because its disk does, keeps the connection open and answers nothing:
    neither its own timeouts nor those of the network apply.

    Args:
        spec: the database.
        within_s: seconds for everything together, connecting included.
        options: of `connect`.

    Raises:
        CannotConnect: as `connect` does, or the time limit was exceeded.
    """
    late = threading.Event()
    opened: list[psycopg.Connection] = []

    def cut_off() -> None:
        late.set()
        for session in opened:
            drop_connection(session)

    timer = threading.Timer(within_s, cut_off)
    timer.daemon = True
    timer.start()
    try:
        with connect(spec, on_open=opened.append, **options) as session:
            yield session
    except psycopg.Error as error:
        if not late.is_set():
            raise
        raise CannotConnect(
            Reason.TIMEOUT,
            f"{spec.host}:{spec.port} accepted the connection, but did not answer within {within_s:g} s. "
            "Check whether PostgreSQL or the network between hangs.",
        ) from error
    finally:
        timer.cancel()


def drop_connection(session: psycopg.Connection) -> None:
    """Shut down the socket of a session, so that a thread that waits for the server gets an error.

    Closing the session itself is not safe while that thread uses it.
    """
    with (
        contextlib.suppress(psycopg.Error, OSError),
        socket.socket(fileno=os.dup(session.fileno())) as line,
    ):
        line.shutdown(socket.SHUT_RDWR)
