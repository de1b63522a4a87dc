"""Create a scratch database for a restore and drop it afterwards, even if the worker was killed.

A scratch database is recognized by its name and comment; no other database is dropped. The run that uses it
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
# Dropping a large database takes several seconds.
SWEEP_WITHIN_S = 120.0


class Scratch:
    """A scratch database; `is_kept` is set when it has replaced the target's database."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_kept = False


@contextlib.contextmanager
def create(job: Job, maintenance: psycopg.Connection, like: Source) -> Iterator[Scratch]:
    """Create an empty database on the target's server, and drop it at the end unless it is kept.

    Args:
        maintenance: a session that stays open while the database is used.
        like: the encoding and collation; if unknown, those of the target are used.

    Raises:
        OperationFailed: the server could not create it.
    """
    scratch = Scratch(f"{PREFIX}{job.run_id}_{secrets.token_hex(4)}")
    if not advisory.try_lock(maintenance, scratch.name):
        raise OperationFailed(
            f"A scratch database with the name {scratch.name} is in use. Nothing was changed. Try again."
        )
    try:
        try:
            _create(job, maintenance, scratch.name, like)
            databases.comment(maintenance, scratch.name, f"{MARK} of {job.application_name}")
        except psycopg.Error as error:
            job.raise_if_cancelled()
            raise OperationFailed(
                f"The server could not create a scratch database: {message_of(error)}. Nothing was changed."
            ) from error
        job.log(f"Created scratch database {scratch.name}.")
        yield scratch
    finally:
        if not scratch.is_kept:
            _drop(job, scratch.name, maintenance.info.dbname)


def _create(job: Job, maintenance: psycopg.Connection, name: str, like: Source) -> None:
    """Create the database; a dump that was made elsewhere has no collation."""
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
    """Drop the scratch databases of killed runs, and log their names."""
    for name in remove_leftovers(maintenance):
        job.log(f"Dropped {name} of a run that was killed.")


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
        # Without a comment, the run was killed between CREATE and COMMENT.
        if NAME.fullmatch(found.name) and (not found.comment or found.comment.startswith(MARK))
    ]


def sweep(spec: ConnectionSpec) -> list[str]:
    """Drop the scratch databases of killed runs over a new session, to clean up after a lost run.

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
    """Drop the database over a new session, because a cancellation ends the run's sessions."""
    try:
        drop(job.target.connection, name, maintenance)
    except (CannotConnect, psycopg.Error) as error:
        job.log(
            f"The scratch database {name} could not be dropped: {sentence_of(error)} "
            "The next restore or test restore of this target will drop it.",
            level="warning",
        )
    else:
        job.log(f"Dropped scratch database {name}.")


def drop(spec: ConnectionSpec, name: str, maintenance: str) -> None:
    """Drop a scratch database over a new session.

    Args:
        maintenance: the database to connect to.
    """
    server = spec.with_database(maintenance)
    with short_session(server, within_s=SWEEP_WITHIN_S, application_name="deployctl scratch") as session:
        _drop_unused(session, name)


def _drop_unused(session: psycopg.Connection, name: str) -> None:
    """Terminate the database's sessions and drop it; retry until they have ended."""
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
