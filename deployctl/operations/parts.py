"""Letting an operation do what another one does, as a part of its own run."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, cast

from deployctl.operations.base import Job


def part_of(job: Job, title: str, params: Any) -> Job:
    """The same job for another operation: with that one's parameters, and with steps named after it.

    Args:
        title: what the part does, such as "Validate"; its steps are called "Validate: Indexes".
        params: of the other operation.
    """
    return cast("Job", _Part(job, title, params))


class _Part:
    """Everything but parameters and the names of steps is the job's own."""

    def __init__(self, job: Job, title: str, params: Any) -> None:
        self._job, self._title = job, title
        self.params = params

    def __getattr__(self, name: str) -> Any:
        return getattr(self._job, name)

    def step(self, name: str) -> AbstractContextManager[None]:
        """A step of the run that says which part it belongs to."""
        return self._job.step(f"{self._title}: {name}")
