"""Swap the names of a restored database and the original, which is kept under another name.

Both databases are renamed in one transaction, so that a database of the target's name exists at every moment,
also after a crash: either the old one or the new one.
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
NAME_BYTES = 63  # NAMEDATALEN - 1; the server would cut a longer name silently
END_EVERY_S = 0.1
ATTEMPTS = 3


def kept_name(name: str, run_id: int) -> str:
    """Return the name under which the original is kept, such as `shop_before_7`."""
    suffix = f"_before_{run_id}"
    return name.encode()[: NAME_BYTES - len(suffix)].decode(errors="ignore") + suffix


def kept_databases(maintenance: psycopg.Connection, name: str) -> list[DatabaseComment]:
    """Return the originals of a database that restores have kept, recognized by name and comment."""
    return [found for found in databases.owned(maintenance, "") if _is_kept(found, name)]


def refuse_unless_owner(session: psycopg.Connection, existing: Database) -> None:
    """Raise OperationFailed if the role may not rename a database; the message has the statement to run."""
    role = session.info.user
    if existing.owner != role:
        raise OperationFailed(
            f"Database {existing.name} belongs to {existing.owner}, so {role} may not rename it. Nothing was "
            f"done. Change it with: ALTER DATABASE {quote_name(existing.name)} OWNER TO {quote_name(role)}; "
            f"or connect as {existing.owner}."
        )


def swap(
    job: Job, session: psycopg.Connection, watcher: psycopg.Connection, *, new: str, existing: Database | None
) -> str | None:
    """Give the new database the target's name and settings; sessions of the original are ended.

    Args:
        session, watcher: two sessions on the maintenance database.
        new: the restored database, without connections.
        existing: the original; None if it does not exist (any more).

    Returns:
        The new name of the original.

    Raises:
        OperationFailed: the original still has its name and serves.
    """
    name = job.target.connection.dbname
    kept = kept_name(name, job.run_id) if existing else None
    comment = databases.comment_of(session, name)
    if existing is not None:
        with failure_on_error(
            job, f"{name} is untouched and serves; the restored copy is dropped. The server said"
        ):
            _copy_settings(job, session, old=name, new=new)
    for attempt in range(1, ATTEMPTS + 1):
        job.raise_if_cancelled()
        try:
            with _without_sessions(watcher, name if existing else None), session.transaction():
                if kept is not None:
                    databases.rename(session, name, kept)
                    mark = f"deployctl kept this database as it was before run {job.run_id}"
                    databases.comment(session, kept, mark)
                databases.rename(session, new, name)
                databases.comment(session, name, comment)
        except errors.ObjectInUse as error:
            who = describe_sessions(watcher, name)
            job.log(f"Attempt {attempt}: {name} is in use by {who}.", level="warning")
            if attempt == ATTEMPTS:
                raise OperationFailed(
                    f"The databases could not change places, because {who} could not be made to leave "
                    f"{name}. {name} is untouched and serves; the restored copy is dropped. "
                    "End what is connected there, then restore again."
                ) from error
        except psycopg.Error as error:
            job.raise_if_cancelled()
            raise OperationFailed(
                f"The databases could not change places: {message_of(error)}. "
                f"{name} is untouched and serves; the restored copy is dropped."
            ) from error
        else:
            break
    return kept


def _copy_settings(job: Job, session: psycopg.Connection, *, old: str, new: str) -> None:
    """Copy the connection limit, the privileges and the settings of the old database to the new one.

    Whatever the role may not set (a superuser's parameter, another role's settings) is left out, and the log
    has the statement for an administrator: that must not keep a proven copy from serving.

    Args:
        session: as the role that owns both, on another database.
        old, new: their names.
    """
    limit = database_settings.connection_limit(session, old)
    if limit != database_settings.NO_LIMIT:
        database_settings.set_connection_limit(session, new, limit)
    rights = database_settings.privileges(session, old)
    if rights is not None:
        database_settings.revoke_privileges(session, new)
    for right in rights or ():
        with _log_refusal(job, database_settings.privilege_statement(right, old).as_string(session)):
            session.execute(database_settings.privilege_statement(right, new))
    for setting in database_settings.settings(session, old):
        with _log_refusal(job, database_settings.shown_statement(setting, old).as_string(session)):
            database_settings.apply_setting(session, setting, new)


@contextlib.contextmanager
def _log_refusal(job: Job, statement: str) -> Iterator[None]:
    """Continue if the server refuses, and log the statement to run afterwards."""
    try:
        yield
    except psycopg.Error as error:
        job.raise_if_cancelled()
        job.log(f"Not carried over ({message_of(error)}): {statement};", level="warning")


@contextlib.contextmanager
def _without_sessions(watcher: psycopg.Connection, name: str | None) -> Iterator[None]:
    """End the sessions of a database repeatedly while the server waits for them to disappear.

    The server has locked the database against new ones by then; before, a pool may reconnect at once.
    """
    done = threading.Event()

    def end() -> None:
        with contextlib.suppress(psycopg.Error):  # the renaming reports what is wrong
            while not done.is_set():
                if name is not None:
                    databases.end_sessions(watcher, name)
                done.wait(END_EVERY_S)

    thread = threading.Thread(target=end, name="end sessions")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def describe_sessions(session: psycopg.Connection, name: str) -> str:
    """Return a description of the sessions on a database."""
    found = databases.sessions(session, name)
    if not found:
        return "a session or a prepared transaction"
    return ", ".join(
        f"session {one.pid} of role {one.role or 'unknown'}"
        + (f" ({one.application_name})" if one.application_name else "")
        for one in found[:5]
    )


def _is_kept(found: DatabaseComment, name: str) -> bool:
    match = KEPT.fullmatch(found.comment)
    return match is not None and found.name == kept_name(name, int(match[1]))
