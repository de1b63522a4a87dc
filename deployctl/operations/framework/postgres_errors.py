"""Turn PostgreSQL's errors into sentences and into failures of an operation."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg

from deployctl.errors import DeployctlError
from deployctl.operations.framework.base import Job, OperationFailed


def message_of(error: psycopg.Error) -> str:
    """Return the server's message with detail, hint and code, on one line and without a full stop."""
    said = error.diag
    parts = [said.message_primary or str(error).strip(), said.message_detail, said.message_hint]
    text = " ".join(part.strip().rstrip(".") + "." for part in parts if part).rstrip(".")
    return f"{text} ({error.sqlstate})" if error.sqlstate else text


def sentence_of(error: DeployctlError | psycopg.Error) -> str:
    """Return the message of an error of ours or of PostgreSQL as a sentence."""
    return error.message if isinstance(error, DeployctlError) else f"{message_of(error)}."


@contextlib.contextmanager
def failure_on_error(job: Job, state: str) -> Iterator[None]:
    """Raise OperationFailed in place of PostgreSQL's errors.

    Args:
        job: checked first for a cancellation, which also ends statements with an error.
        state: a sentence without full stop on what was or was not done, such as "Nothing was applied".

    Raises:
        OperationFailed: instead of any `psycopg.Error`.
    """
    try:
        yield
    except psycopg.Error as error:
        job.raise_if_cancelled()
        raise OperationFailed(f"{state}: {message_of(error)}.") from error
