"""Putting a restored database in the place of the original, which stays beside it under another name.

Both names change in one transaction of the server: at every moment, and after a crash at any moment, there is
a database of the target's name, the old one or the new one.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator

import psycopg
from psycopg import errors

from deployctl.operations import properties
from deployctl.operations.base import Job, OperationFailed
from deployctl.operations.sentences import message_of, told
from deployctl.postgres.queries import databases
from deployctl.postgres.queries.databases import Commented, Database

KEPT = re.compile(r"deployctl kept this database as it was before run (\d+)")
NAME_BYTES = 63  # NAMEDATALEN - 1; the server would cut a longer name silently
END_EVERY_S = 0.1
ATTEMPTS = 3


def kept_name(name: str, run_id: int) -> str:
    """What the original is called afterwards: `shop_before_7`."""
    suffix = f"_before_{run_id}"
    return name.encode()[: NAME_BYTES - len(suffix)].decode(errors="ignore") + suffix


def kept_databases(maintenance: psycopg.Connection, name: str) -> list[Commented]:
    """The originals of a database that restores put aside, by name and mark."""
    return [found for found in databases.owned(maintenance, "") if _is_kept(found, name)]


def refuse_unless_owner(session: psycopg.Connection, existing: Database) -> None:
    """Raise OperationFailed, with the statement that helps, where the role may not rename a database."""
    role = session.info.user
    if existing.owner != role:
        quoted = psycopg.sql.Identifier(existing.name).as_string(session)
        raise OperationFailed(
            f"Database {existing.name} belongs to {existing.owner}, so {role} may not rename it. Nothing was "
            f"done. Change it with: ALTER DATABASE {quoted} OWNER TO "
            f"{psycopg.sql.Identifier(role).as_string(session)}; or connect as {existing.owner}."
        )


def swap(
    job: Job, session: psycopg.Connection, watcher: psycopg.Connection, *, new: str, existing: Database | None
) -> str | None:
    """Give the new database the target's name and properties; sessions of the original are ended.

    Args:
        session, watcher: two sessions on the maintenance database.
        new: the restored database; nobody is connected to it.
        existing: the original, None where there is none (any more).

    Returns:
        The name that the original has now.

    Raises:
        OperationFailed: the original still has its name and serves.
    """
    name = job.target.connection.dbname
    kept = kept_name(name, job.run_id) if existing else None
    comment = databases.comment_of(session, name)
    if existing is not None:
        with told(job, f"{name} is untouched and serves; the restored copy is dropped. The server said"):
            properties.carry_over(job, session, old=name, new=new)
    for attempt in range(1, ATTEMPTS + 1):
        job.raise_if_cancelled()
        try:
            with _nobody_in(watcher, name if existing else None), session.transaction():
                if kept is not None:
                    databases.rename(session, name, kept)
                    mark = f"deployctl kept this database as it was before run {job.run_id}"
                    databases.comment(session, kept, mark)
                databases.rename(session, new, name)
                databases.comment(session, name, comment)
        except errors.ObjectInUse as error:
            who = who_is_in(watcher, name)
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


@contextlib.contextmanager
def _nobody_in(watcher: psycopg.Connection, name: str | None) -> Iterator[None]:
    """End the sessions of a database again and again, while the server waits for them to be gone.

    It has locked the database against new ones by then; before, a pool may connect again at once.
    """
    done = threading.Event()

    def end() -> None:
        with contextlib.suppress(psycopg.Error):  # the renaming tells what is wrong
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


def who_is_in(session: psycopg.Connection, name: str) -> str:
    """Who is connected to a database, in words."""
    found = databases.sessions(session, name)
    if not found:
        return "a session or a prepared transaction"
    return ", ".join(
        f"session {one.pid} of role {one.role or 'unknown'}"
        + (f" ({one.application_name})" if one.application_name else "")
        for one in found[:5]
    )


def _is_kept(found: Commented, name: str) -> bool:
    match = KEPT.fullmatch(found.comment)
    return match is not None and found.name == kept_name(name, int(match[1]))
