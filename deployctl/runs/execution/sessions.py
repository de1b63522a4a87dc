"""Open and end the sessions of a run on its target."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg

from deployctl.errors import Refusal
from deployctl.postgres.connection import CannotConnect, ConnectionSpec, connect
from deployctl.postgres.queries import activity, advisory
from deployctl.postgres.short_session import drop_connection, short_session

logger = logging.getLogger(__name__)

# "The default maintenance database" (PostgreSQL, createdb); it exists unless somebody dropped it.
MAINTENANCE = "postgres"
# A session that is still open this long after its statement was cancelled is terminated.
CANCEL_FOR_S = 2.0
# A server process that hangs, for example on its disk, reacts to neither. Then the connection is dropped.
DROP_CONNECTION_AFTER_S = 3.0
GONE_WITHIN_S = 5.0
# For connecting and querying, without the wait until the sessions are gone.
SWEEP_WITHIN_S = 15.0


class Sessions:
    """The sessions that the worker itself opens for one run.

    Args:
        spec: the connection of the target.
        application_name: the application name of the run's sessions.
    """

    def __init__(self, spec: ConnectionSpec, application_name: str) -> None:
        self._spec, self._application_name = spec, application_name
        self._lock = threading.Lock()
        self._open: list[psycopg.Connection] = []
        self._cancelling_since: float | None = None

    def connect(self, *, dbname: str | None = None, **options: Any) -> psycopg.Connection:
        """Open a session, as `Job.connect` does."""
        spec = self._spec if dbname is None else self._spec.with_database(dbname)
        session = connect(spec, application_name=self._application_name, **options)
        with self._lock:
            self._open.append(session)
        return session

    def cancel(self) -> None:
        """Cancel statements, then terminate sessions, then drop connections. Called repeatedly."""
        now = time.monotonic()
        self._cancelling_since = self._cancelling_since or now
        with self._lock:
            sessions = [session for session in self._open if not session.closed]
        for session in sessions:
            with contextlib.suppress(psycopg.Error):
                session.cancel_safe(timeout=1)
        if now - self._cancelling_since >= DROP_CONNECTION_AFTER_S:
            for session in sessions:
                drop_connection(session)
        if now - self._cancelling_since >= CANCEL_FOR_S:
            end_sessions(self._spec, self._application_name, wait_s=0)

    def close(self) -> None:
        """Close the open sessions."""
        with self._lock:
            for session in self._open:
                with contextlib.suppress(psycopg.Error):
                    session.close()

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the advisory lock on the target, in a separate session.

        Raises:
            Refusal: another installation holds the lock.
            CannotConnect: the server is unreachable.
        """
        # In the maintenance database, because the target may not exist yet, or may be renamed during the run.
        try:
            session = self.connect(dbname=MAINTENANCE)
        except CannotConnect:
            session = self.connect()
        if not advisory.try_lock(session, self._spec.dbname):
            holder = advisory.holder(session, self._spec.dbname) or "a session that has just ended"
            raise Refusal(
                f"Another deployctl installation is working on {self._spec.dbname} ({holder}). "
                "Nothing was done. Try again later."
            )
        yield


def end_sessions(spec: ConnectionSpec, application_name: str, *, wait_s: float = GONE_WITHIN_S) -> list[int]:
    """Terminate sessions with an application name, and wait until they are gone.

    Args:
        spec: any database of the server.
        application_name: a prefix, such as `Run.application_name_prefix`.
        wait_s: the time to wait, in seconds.

    Returns:
        The process ids of the sessions that did not end.

    Raises:
        CannotConnect: the server is unreachable.
    """
    within = SWEEP_WITHIN_S + wait_s
    with maintenance_session(
        spec, within_s=within, application_name="deployctl sweep", statement_timeout_s=10
    ) as session:
        return activity.terminate_named(session, application_name, wait_s=wait_s)


@contextlib.contextmanager
def maintenance_session(spec: ConnectionSpec, **options: Any) -> Iterator[psycopg.Connection]:
    """Open a short session on the maintenance database, or on the target if that fails.

    Args:
        options: as for `postgres.short_session.short_session`.

    Raises:
        CannotConnect: neither database accepts the connection.
    """
    with contextlib.ExitStack() as stack:
        try:
            session = stack.enter_context(short_session(spec.with_database(MAINTENANCE), **options))
        except CannotConnect:
            session = stack.enter_context(short_session(spec, **options))
        yield session
