"""Noticing who holds up a migration while it waits for a lock."""

from __future__ import annotations

import datetime as dt
import threading
from types import TracebackType
from typing import Self

import psycopg

from deployctl.operations.base import Job
from deployctl.postgres.queries import activity
from deployctl.postgres.queries.activity import Blocker

LOOK_EVERY_S = 0.5
STATEMENT_TIMEOUT_S = 2


class LockWatch:
    """Looks, from a session of its own, at whom the run's sessions wait for.

    After the lock timeout the waiting session waits no more, so its blocker must be noted before. The
    migration keeps the run's thread busy, therefore this one looks from another.

    Args:
        job: the run; its sessions are known by its application name.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._session = job.connect(statement_timeout_s=STATEMENT_TIMEOUT_S, read_only=True)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, name="lock watch", daemon=True)
        self._seen: dict[int, Blocker] = {}
        self._told: set[int] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        self._session.close()

    @property
    def blockers(self) -> list[str]:
        """A description of each session that was last seen holding up the run."""
        return [describe(blocker) for blocker in self._seen.values()]

    def _look(self) -> None:
        while not self._done.wait(LOOK_EVERY_S):
            try:
                found = activity.blockers_of_named(self._session, self._job.application_name)
            except psycopg.Error:
                return  # a help only: the migration itself tells what went wrong
            if not found:
                continue
            self._seen = {blocker.pid: blocker for blocker in found}
            for pid, blocker in self._seen.items():
                if pid not in self._told:
                    self._told.add(pid)
                    self._job.log(f"Waiting for a lock held by {describe(blocker)}", level="warning")


def describe(blocker: Blocker) -> str:
    """A session as people need it to find its owner: who, what, since when."""
    who = ", ".join(
        text
        for text in (
            f"role {blocker.role}" if blocker.role else "",
            f"application {blocker.application_name}" if blocker.application_name else "",
            blocker.state or "",
        )
        if text
    )
    since = ""
    if blocker.transaction_since is not None:
        seconds = (dt.datetime.now(dt.UTC) - blocker.transaction_since).total_seconds()
        since = f", in a transaction for {max(seconds, 0):.0f} s"
    on = f", on {blocker.relation}" if blocker.relation else ""
    query = " ".join(blocker.query.split())[:300] if blocker.query else "not readable for this role"
    return f"session {blocker.pid} ({who}{since}{on}), query: {query}"
