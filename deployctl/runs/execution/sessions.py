"""The sessions a run has on its target: opened, ended, and their disappearance waited for."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg

from deployctl.errors import Refusal
from deployctl.postgres.brief import brief, hang_up
from deployctl.postgres.connection import CannotConnect, ConnectionSpec, connect
from deployctl.postgres.queries import activity, advisory

logger = logging.getLogger(__name__)

# Exists on every server that nobody stripped; "the default maintenance database" (PostgreSQL, createdb).
MAINTENANCE = "postgres"
# A session that did not end by cancelling its statement is terminated after this.
CANCEL_FOR_S = 2.0
# A server process that hangs, as when its disk does, hears neither; then we go without its answer.
HANG_UP_AFTER_S = 3.0
GONE_WITHIN_S = 5.0
# For connecting and asking; waiting until sessions are gone comes on top.
SWEEP_WITHIN_S = 15.0


class Sessions:
    """The direct sessions of one run.

    Args:
        spec: the target.
        application_name: of the run, under which all its sessions are found.
    """

    def __init__(self, spec: ConnectionSpec, application_name: str) -> None:
        self._spec, self._application_name = spec, application_name
        self._lock = threading.Lock()
        self._open: list[psycopg.Connection] = []
        self._cancelling_since: float | None = None

    def connect(self, *, dbname: str | None = None, **options: Any) -> psycopg.Connection:
        """As `Job.connect`."""
        spec = self._spec if dbname is None else self._spec.with_database(dbname)
        session = connect(spec, application_name=self._application_name, **options)
        with self._lock:
            self._open.append(session)
        return session

    def cancel(self) -> None:
        """End what is running: first statements, then sessions, then our waiting. Called again and again."""
        now = time.monotonic()
        self._cancelling_since = self._cancelling_since or now
        with self._lock:
            sessions = [session for session in self._open if not session.closed]
        for session in sessions:
            with contextlib.suppress(psycopg.Error):
                session.cancel_safe(timeout=1)
        if now - self._cancelling_since >= HANG_UP_AFTER_S:
            for session in sessions:
                hang_up(session)
        if now - self._cancelling_since >= CANCEL_FOR_S:
            end_sessions(self._spec, self._application_name, wait_s=0)

    def close(self) -> None:
        """End every session that is still open."""
        with self._lock:
            for session in self._open:
                with contextlib.suppress(psycopg.Error):
                    session.close()

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold our lock on the target, on a session of its own.

        Raises:
            Refusal: another installation works on it.
            CannotConnect: the server cannot be reached.
        """
        # In the maintenance database, for the target may not exist yet, or be renamed meanwhile.
        try:
            session = self.connect(dbname=MAINTENANCE)
        except CannotConnect:
            session = self.connect()
        if not advisory.try_lock(session, self._spec.dbname):
            who = advisory.holder(session, self._spec.dbname) or "a session that has just ended"
            raise Refusal(
                f"Another deployctl works on {self._spec.dbname} at the moment ({who}). "
                "Nothing was done. Try again when it is done."
            )
        yield


def end_sessions(spec: ConnectionSpec, application_name: str, *, wait_s: float = GONE_WITHIN_S) -> list[int]:
    """End sessions on a server by application name, and wait until they are gone.

    Args:
        spec: any database of the server.
        application_name: its beginning, such as `Run.mark`.
        wait_s: how long to wait, in seconds.

    Returns:
        The process ids of sessions that are still there.

    Raises:
        CannotConnect: nobody can tell.
    """
    within = SWEEP_WITHIN_S + wait_s
    with beside(spec, within_s=within, application_name="deployctl sweep", statement_timeout_s=10) as session:
        return activity.terminate_named(session, application_name, wait_s=wait_s)


@contextlib.contextmanager
def beside(spec: ConnectionSpec, **options: Any) -> Iterator[psycopg.Connection]:
    """A brief session on the maintenance database, or on the target's own where that one admits no such role.

    Args:
        options: as `postgres.brief.brief` takes them.

    Raises:
        CannotConnect: to neither.
    """
    with contextlib.ExitStack() as stack:
        try:
            session = stack.enter_context(brief(spec.with_database(MAINTENANCE), **options))
        except CannotConnect:
            session = stack.enter_context(brief(spec, **options))
        yield session
