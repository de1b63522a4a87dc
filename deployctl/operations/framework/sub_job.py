"""Jobs derived from a run's job: for another operation within the run, and for another database."""

from __future__ import annotations

import dataclasses
from contextlib import AbstractContextManager
from typing import Any, cast

import psycopg

from deployctl.operations.framework.base import Job


def sub_job(job: Job, title: str, params: Any) -> Job:
    """Return the job for another operation within the run, with its own parameters.

    Args:
        title: the prefix of its steps, such as "Validate" for "Validate: Indexes".
        params: the other operation's parameters.
    """
    return cast("Job", _SubJob(job, title, params))


def with_database(job: Job, dbname: str) -> Job:
    """Return the job with another database of the same server as its target."""
    return cast("Job", _JobOnDatabase(job, dbname))


class _Derived:
    """Delegates everything that a subclass does not override to the run's job."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def __getattr__(self, name: str) -> Any:
        return getattr(self._job, name)


class _SubJob(_Derived):
    def __init__(self, job: Job, title: str, params: Any) -> None:
        super().__init__(job)
        self._title, self.params = title, params

    def step(self, name: str) -> AbstractContextManager[None]:
        return self._job.step(f"{self._title}: {name}")


class _JobOnDatabase(_Derived):
    def __init__(self, job: Job, dbname: str) -> None:
        super().__init__(job)
        self._dbname = dbname
        copy = job.target.connection.with_database(dbname)
        self.target = dataclasses.replace(job.target, connection=copy)

    def connect(self, *, dbname: str | None = None, **options: Any) -> psycopg.Connection:
        return self._job.connect(dbname=dbname or self._dbname, **options)
