"""Advise on the privilege whose absence caused an error of PostgreSQL."""

from __future__ import annotations

import contextlib
from functools import cache

import psycopg

from deployctl.errors import DeployctlError
from deployctl.postgres import privileges
from deployctl.postgres.connection import ConnectionSpec
from deployctl.postgres.queries.relations import schema_of
from deployctl.postgres.short_session import short_session

WITHIN_S = 5


def advice(sentence: str, spec: ConnectionSpec, *, changes: bool) -> str:
    """Return a sentence with the missing privilege and the statement that grants it, or "".

    Args:
        sentence: the error message, which includes PostgreSQL's.
        spec: the connection of the target.
        changes: True if the operation changes the target.
    """

    @cache
    def locate(name: str) -> str | None:
        """Return a relation's schema, by a short session: the run's own may be in a failed transaction."""
        with (
            contextlib.suppress(DeployctlError, psycopg.Error),
            short_session(
                spec,
                within_s=WITHIN_S,
                application_name="deployctl privileges",
                statement_timeout_s=WITHIN_S,
                read_only=True,
            ) as session,
        ):
            return schema_of(session, name)
        return None

    return privileges.grant_hint(sentence, spec.user, changes=changes, schema_of=locate)
