"""What is added to a failure when PostgreSQL refused something for want of a right."""

from __future__ import annotations

import contextlib
from functools import cache

import psycopg

from deployctl.errors import DeployctlError
from deployctl.postgres import rights
from deployctl.postgres.brief import brief
from deployctl.postgres.connection import ConnectionSpec
from deployctl.postgres.queries.relations import schema_of

WITHIN_S = 5


def advice(sentence: str, spec: ConnectionSpec, *, changes: bool) -> str:
    """Which right the role lacks and the statement that gives it; "" where no right is missing.

    Args:
        sentence: what is told of the failure; holds what PostgreSQL said.
        spec: the target.
        changes: whether the operation changes the target.
    """

    @cache
    def locate(name: str) -> str | None:
        """Asked over a session of a moment, for the run's own may be in a failed transaction."""
        with (
            contextlib.suppress(DeployctlError, psycopg.Error),
            brief(
                spec,
                within_s=WITHIN_S,
                application_name="deployctl rights",
                statement_timeout_s=WITHIN_S,
                read_only=True,
            ) as session,
        ):
            return schema_of(session, name)
        return None

    return rights.mend(sentence, spec.user, changes=changes, schema_of=locate)
