"""Scratch databases: created for a restore, dropped afterwards, and found again if the worker was killed.

A scratch database is recognized by its name and its comment; others are never touched. The run that uses it
holds an advisory lock on its name, in the maintenance database, from before it is created. The server
releases the lock when that session ends, and then any run may drop the database.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import time
from collections.abc import Iterator

import psycopg
from psycopg import errors

from deployctl.operations.backup.manifest import Source
from deployctl.operations.framework.base import Job, OperationFailed
from deployctl.operations.framework.maintenance_database import MAINTENANCE_DATABASES
from deployctl.operations.framework.postgres_errors import message_of, sentence_of
from deployctl.postgres.connection import CannotConnect, ConnectionSpec
from deployctl.postgres.queries import advisory, databases
from deployctl.postgres.queries.databases import Database, DatabaseComment
from deployctl.postgres.short_session import short_session

PREFIX = "deployctl_scratch_"
NAME = re.compile(r"deployctl_scratch_\d+_[0-9a-f]{8}")
MARK = "deployctl scratch database"
DROP_WITHIN_S = 15.0
POLL_S = 0.2
# A large database takes seconds to drop.
SWEEP_WITHIN_S = 120.0


class Scratch:
    """A scratch database. `is_kept`: it has replaced the target's database and is not dropped."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_kept = False


@contextlib.contextmanager
def create(job: Job, maintenance: psycopg.Connection, like: Source) -> Iterator[Scratch]:
    """Create an empty database of the target's role on its server, and drop it at the end.

    Args:
        maintenance: stays open as long as the database is used.
        like: gives encoding and collation; if it has none, those of the target are used.

    Raises:
        OperationFailed: the server refused to create it.
    """
    scratch = Scratch(f"{PREFIX}{job.run_id}_{secrets.token_hex(4)}")
    if not advisory.try_lock(maintenance, scratch.name):
        raise OperationFailed("A scratch database of that name is in use. Nothing was done. Try again.")
    try:
        try:
            _create(job, maintenance, scratch.name, like)
            databases.comment(maintenance, scratch.name, f"{MARK} of {job.application_name}")
        except psycopg.Error as error:
            job.raise_if_cancelled()
            raise OperationFailed(
                f"The server refused to create a scratch database: {message_of(error)}. Nothing was changed."
            ) from error
        job.log(f"Scratch database {scratch.name} was created.")
        yield scratch
    finally:
        if not scratch.is_kept:
            _drop(job, scratch.name, maintenance.info.dbname)


def _create(job: Job, maintenance: psycopg.Connection, name: str, like: Source) -> None:
    """Create the database; a dump that was made elsewhere does not contain its collation."""
    known: Source | Database | None = like
    if not like.encoding:
        known = databases.find(maintenance, job.target.connection.dbname)
    if known is None:
        databases.create(maintenance, name, owner="", encoding="UTF8", locale="")
    else:
        databases.create_like(
            maintenance, name, encoding=known.encoding, collate=known.collate, ctype=known.ctype
        )


def clear_up(job: Job, maintenance: psycopg.Connection) -> None:
    """Drop the scratch databases of killed runs before another one is created, and log their names."""
    for name in remove_leftovers(maintenance):
        job.log(f"{name}, left by a run that was killed, was dropped.")


def remove_leftovers(maintenance: psycopg.Connection) -> list[str]:
    """Drop the scratch databases of killed runs, and return their names.

    Args:
        maintenance: a session as the role that created them.
    """
    removed = []
    for found in leftovers(maintenance):
        if advisory.try_lock(maintenance, found.name):
            _drop_unused(maintenance, found.name)
            removed.append(found.name)
    return removed


def leftovers(maintenance: psycopg.Connection) -> list[DatabaseComment]:
    """Return the scratch databases of the session's role, in use or not."""
    return [
        found
        for found in databases.owned(maintenance, PREFIX)
        # Without a comment: killed between creating and marking it.
        if NAME.fullmatch(found.name) and (not found.comment or found.comment.startswith(MARK))
    ]


def sweep(spec: ConnectionSpec) -> list[str]:
    """Run `remove_leftovers` over a new session, to clean up after a lost run.

    Raises:
        CannotConnect: no maintenance database could be reached.
    """
    first, last = MAINTENANCE_DATABASES
    with (
        contextlib.suppress(CannotConnect),
        short_session(
            spec.with_database(first), within_s=SWEEP_WITHIN_S, application_name="deployctl sweep"
        ) as session,
    ):
        return remove_leftovers(session)
    with short_session(
        spec.with_database(last), within_s=SWEEP_WITHIN_S, application_name="deployctl sweep"
    ) as session:
        return remove_leftovers(session)


def _drop(job: Job, name: str, maintenance: str) -> None:
    """Drop the database over a new session: the run's sessions end when it is cancelled."""
    try:
        drop(job.target.connection, name, maintenance)
    except (CannotConnect, psycopg.Error) as error:
        job.log(
            f"The scratch database {name} could not be dropped: {sentence_of(error)} "
            "The next test restore or restore of this target drops it.",
            level="warning",
        )
    else:
        job.log(f"Scratch database {name} was dropped.")


def drop(spec: ConnectionSpec, name: str, maintenance: str) -> None:
    """Drop a scratch database, over a new session.

    Args:
        spec: the server and the role.
        maintenance: the database to connect to.
    """
    where = spec.with_database(maintenance)
    with short_session(where, within_s=SWEEP_WITHIN_S, application_name="deployctl scratch") as session:
        _drop_unused(session, name)


def _drop_unused(session: psycopg.Connection, name: str) -> None:
    """Drop the database, and retry while its terminated sessions are still ending."""
    deadline = time.monotonic() + DROP_WITHIN_S
    while True:
        databases.end_sessions(session, name)
        try:
            databases.drop(session, name)
        except errors.ObjectInUse:
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL_S)
        else:
            return
