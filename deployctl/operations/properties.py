"""Carrying over what is set on a database as a whole to the copy that takes its place."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg

from deployctl.operations.base import Job
from deployctl.operations.sentences import message_of
from deployctl.postgres.queries import database_properties


def carry_over(job: Job, session: psycopg.Connection, *, old: str, new: str) -> None:
    """Give a new database the connection limit, the rights and the settings of an old one.

    What the role may not set (a parameter for superusers, another role's settings) is left out, and the log
    has the statement for somebody who may: it is no reason to keep a proven copy from serving.

    Args:
        session: as the role that owns both, on another database.
        old, new: their names.
    """
    limit = database_properties.connection_limit(session, old)
    if limit != database_properties.NO_LIMIT:
        database_properties.limit_connections(session, new, limit)
    rights = database_properties.rights(session, old)
    if rights is not None:
        database_properties.withdraw_rights(session, new)
    for right in rights or ():
        with _or_told(job, database_properties.right_statement(right, old).as_string(session)):
            session.execute(database_properties.right_statement(right, new))
    for setting in database_properties.settings(session, old):
        with _or_told(job, database_properties.shown_statement(setting, old).as_string(session)):
            database_properties.put_setting(session, setting, new)


@contextlib.contextmanager
def _or_told(job: Job, statement: str) -> Iterator[None]:
    """Go on where the server refuses; who reads the log can run the statement afterwards."""
    try:
        yield
    except psycopg.Error as error:
        job.raise_if_cancelled()
        job.log(f"Not carried over ({message_of(error)}): {statement};", level="warning")
