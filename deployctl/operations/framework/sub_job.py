"""Jobs derived from a run's own: for another operation within the run, and for a copy of the target."""

from __future__ import annotations

import dataclasses
from contextlib import AbstractContextManager
from typing import Any, cast

import psycopg

from deployctl.operations.framework.base import Job


def sub_job(job: Job, title: str, params: Any) -> Job:
    """Return the job for another operation: with its parameters, and with steps named after it.

    Args:
        title: such as "Validate"; its steps are called "Validate: Indexes".
        params: of the other operation.
    """
    return cast("Job", _Part(job, title, params))


def with_database(job: Job, dbname: str) -> Job:
    """Return the job with another database of the same server as its target."""
    return cast("Job", _OnCopy(job, dbname))


class _Derived:
    """Delegates to the run's own job whatever a subclass does not override."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def __getattr__(self, name: str) -> Any:
        return getattr(self._job, name)


class _Part(_Derived):
    def __init__(self, job: Job, title: str, params: Any) -> None:
        super().__init__(job)
        self._title, self.params = title, params

    def step(self, name: str) -> AbstractContextManager[None]:
        return self._job.step(f"{self._title}: {name}")


class _OnCopy(_Derived):
    def __init__(self, job: Job, dbname: str) -> None:
        super().__init__(job)
        self._dbname = dbname
        copy = job.target.connection.with_database(dbname)
        self.target = dataclasses.replace(job.target, connection=copy)

    def connect(self, *, dbname: str | None = None, **options: Any) -> psycopg.Connection:
        return self._job.connect(dbname=dbname or self._dbname, **options)
