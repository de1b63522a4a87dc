"""PostgreSQL's errors as sentences."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg

from deployctl.operations.base import Job, OperationFailed


def message_of(error: psycopg.Error) -> str:
    """The server's message with detail, hint and code, on one line and without a full stop."""
    said = error.diag
    parts = [said.message_primary or str(error).strip(), said.message_detail, said.message_hint]
    text = " ".join(part.strip().rstrip(".") + "." for part in parts if part).rstrip(".")
    return f"{text} ({error.sqlstate})" if error.sqlstate else text


@contextlib.contextmanager
def told(job: Job, state: str) -> Iterator[None]:
    """Turn what PostgreSQL refuses into the failure of an operation.

    Args:
        job: asked first whether the run was cancelled, for that ends statements, too.
        state: a sentence without full stop on what was or was not done, such as "Nothing was applied".

    Raises:
        OperationFailed: instead of any `psycopg.Error`.
    """
    try:
        yield
    except psycopg.Error as error:
        job.raise_if_cancelled()
        raise OperationFailed(f"{state}: {message_of(error)}.") from error
