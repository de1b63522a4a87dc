"""A session for a short look, which ends in time whatever the server does."""

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
def brief(spec: ConnectionSpec, *, within_s: float, **options: Any) -> Iterator[psycopg.Connection]:
    """A session that is cut off after a while.

    A server that hangs, as when its disk does, keeps the line open and answers nothing: neither its own time
    limits nor those of the network notice.

    Args:
        spec: where to.
        within_s: seconds for everything together, connecting included.
        options: as `connect` takes them.

    Raises:
        CannotConnect: as `connect` does, or the time was up.
    """
    late = threading.Event()
    opened: list[psycopg.Connection] = []

    def cut_off() -> None:
        late.set()
        for session in opened:
            hang_up(session)

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
            f"{spec.host}:{spec.port} took the connection, but did not answer within {within_s:g} s. Look "
            "whether PostgreSQL there hangs, or something between.",
        ) from error
    finally:
        timer.cancel()


def hang_up(session: psycopg.Connection) -> None:
    """Close the line under a session, so that a thread that waits for its server gets an error instead.

    Closing the session itself would pull it away from under that thread.
    """
    with (
        contextlib.suppress(psycopg.Error, OSError),
        socket.socket(fileno=os.dup(session.fileno())) as line,
    ):
        line.shutdown(socket.SHUT_RDWR)
