"""Turn PostgreSQL's errors into sentences, and into failures of an operation."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg

from deployctl.errors import DeployctlError
from deployctl.operations.framework.base import Job, OperationFailed


def message_of(error: psycopg.Error) -> str:
    """Return the server's message with detail, hint and code, on one line and without a full stop."""
    diagnostics = error.diag
    parts = [
        diagnostics.message_primary or str(error).strip(),
        diagnostics.message_detail,
        diagnostics.message_hint,
    ]
    text = " ".join(part.strip().rstrip(".") + "." for part in parts if part).rstrip(".")
    return f"{text} ({error.sqlstate})" if error.sqlstate else text


def sentence_of(error: DeployctlError | psycopg.Error) -> str:
    """Return the message of an error as a sentence."""
    return error.message if isinstance(error, DeployctlError) else f"{message_of(error)}."


@contextlib.contextmanager
def failure_on_error(job: Job, state: str) -> Iterator[None]:
    """Raise OperationFailed in place of PostgreSQL's errors.

    Args:
        job: raises Cancelled instead if the run was cancelled, which also ends statements with an error.
        state: what was or was not done, without a full stop, such as "Nothing was applied".

    Raises:
        OperationFailed: instead of any `psycopg.Error`.
    """
    try:
        yield
    except psycopg.Error as error:
        job.raise_if_cancelled()
        raise OperationFailed(f"{state}: {message_of(error)}.") from error
