"""Swap the names of a restored database and the original, which is kept under another name.

Both databases are renamed in one transaction, so a database with the target's name exists at every moment,
even after a crash: either the old one or the new one.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator

import psycopg
from psycopg import errors

from deployctl.operations.framework.base import Job, OperationFailed
from deployctl.operations.framework.postgres_errors import failure_on_error, message_of
from deployctl.postgres.privileges import quote_name
from deployctl.postgres.queries import database_settings, databases
from deployctl.postgres.queries.databases import Database, DatabaseComment

KEPT = re.compile(r"deployctl kept this database as it was before run (\d+)")
NAME_BYTES = 63  # NAMEDATALEN - 1; the server silently truncates longer names
TERMINATE_EVERY_S = 0.1
ATTEMPTS = 3


def kept_name(name: str, run_id: int) -> str:
    """Return the name under which the original is kept, such as `shop_before_7`."""
    suffix = f"_before_{run_id}"
    return name.encode()[: NAME_BYTES - len(suffix)].decode(errors="ignore") + suffix


def kept_databases(maintenance: psycopg.Connection, name: str) -> list[DatabaseComment]:
    """Return the originals of a database that restores have kept, recognized by name and comment."""
    return [database for database in databases.owned(maintenance, "") if _is_kept(database, name)]


def refuse_unless_owner(session: psycopg.Connection, existing: Database) -> None:
    """Raise OperationFailed if the role may not rename a database; the message has the statement to run."""
    role = session.info.user
    if existing.owner != role:
        raise OperationFailed(
            f"Database {existing.name} belongs to {existing.owner}, so {role} can't rename it. Nothing was "
            f"changed. Change the owner with: ALTER DATABASE {quote_name(existing.name)} OWNER TO "
            f"{quote_name(role)}; or connect as {existing.owner}."
        )


def swap(
    job: Job, session: psycopg.Connection, watcher: psycopg.Connection, *, new: str, existing: Database | None
) -> str | None:
    """Give the new database the target's name and settings, and terminate the sessions of the original.

    Args:
        session, watcher: two sessions on the maintenance database.
        new: the restored database, without sessions.
        existing: the original; None if it doesn't exist.

    Returns:
        The new name of the original; None without one.

    Raises:
        OperationFailed: the swap failed; the original still has its name.
    """
    name = job.target.connection.dbname
    kept = kept_name(name, job.run_id) if existing else None
    comment = databases.comment_of(session, name)
    if existing is not None:
        with failure_on_error(
            job, f"{name} is unchanged, and the restored copy is dropped. The server reported"
        ):
            _copy_settings(job, session, old=name, new=new)
    for attempt in range(1, ATTEMPTS + 1):
        job.raise_if_cancelled()
        try:
            with _without_sessions(watcher, name if existing else None), session.transaction():
                if kept is not None:
                    databases.rename(session, name, kept)
                    databases.comment(
                        session, kept, f"deployctl kept this database as it was before run {job.run_id}"
                    )
                databases.rename(session, new, name)
                databases.comment(session, name, comment)
        except errors.ObjectInUse as error:
            users = describe_sessions(watcher, name)
            job.log(f"Attempt {attempt}: {name} is in use by {users}.", level="warning")
            if attempt == ATTEMPTS:
                raise OperationFailed(
                    f"The databases could not be swapped, because {name} is still in use by {users}. "
                    f"{name} is unchanged, and the restored copy is dropped. "
                    "End these sessions, then restore again."
                ) from error
        except psycopg.Error as error:
            job.raise_if_cancelled()
            raise OperationFailed(
                f"The databases could not be swapped: {message_of(error)}. "
                f"{name} is unchanged, and the restored copy is dropped."
            ) from error
        else:
            break
    return kept


def _copy_settings(job: Job, session: psycopg.Connection, *, old: str, new: str) -> None:
    """Copy the connection limit, the privileges and the settings of the old database to the new one.

    What the role may not set (a superuser's parameter, another role's settings) is skipped, and the statement
    is logged for an administrator; the restore continues without it.

    Args:
        session: as the role that owns both databases, on a third one.
        old, new: their names.
    """
    limit = database_settings.connection_limit(session, old)
    if limit != database_settings.NO_LIMIT:
        database_settings.set_connection_limit(session, new, limit)
    privileges = database_settings.privileges(session, old)
    if privileges is not None:
        database_settings.revoke_privileges(session, new)
    for privilege in privileges or ():
        with _log_on_error(job, database_settings.grant_statement(privilege, old).as_string(session)):
            session.execute(database_settings.grant_statement(privilege, new))
    for setting in database_settings.settings(session, old):
        with _log_on_error(job, database_settings.redacted_statement(setting, old).as_string(session)):
            database_settings.apply_setting(session, setting, new)


@contextlib.contextmanager
def _log_on_error(job: Job, statement: str) -> Iterator[None]:
    """Continue if the server reports an error, and log the statement to run afterwards."""
    try:
        yield
    except psycopg.Error as error:
        job.raise_if_cancelled()
        job.log(f"Not copied ({message_of(error)}): {statement};", level="warning")


@contextlib.contextmanager
def _without_sessions(watcher: psycopg.Connection, name: str | None) -> Iterator[None]:
    """Terminate the sessions of a database repeatedly while RENAME waits for them to end.

    RENAME locks the database against new sessions. Sessions terminated before that could reconnect at once.
    """
    done = threading.Event()

    def terminate() -> None:
        with contextlib.suppress(psycopg.Error):  # RENAME reports the problem
            while not done.is_set():
                if name is not None:
                    databases.end_sessions(watcher, name)
                done.wait(TERMINATE_EVERY_S)

    thread = threading.Thread(target=terminate, name="terminate sessions")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def describe_sessions(session: psycopg.Connection, name: str) -> str:
    """Return a list of the sessions on a database, in words."""
    found = databases.sessions(session, name)
    if not found:
        return "a session or a prepared transaction"
    return ", ".join(
        f"session {other.pid} of role {other.role or 'unknown'}"
        + (f" ({other.application_name})" if other.application_name else "")
        for other in found[:5]
    )


def _is_kept(database: DatabaseComment, name: str) -> bool:
    match = KEPT.fullmatch(database.comment)
    return match is not None and database.name == kept_name(name, int(match[1]))
