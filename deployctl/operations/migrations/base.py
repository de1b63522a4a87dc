"""The interface of migration tools, the migration status of a database, and shared helpers."""

from __future__ import annotations

import abc
import datetime as dt
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import psycopg

from deployctl.operations.framework.base import Job, Json, OperationFailed

if TYPE_CHECKING:  # `project` imports the migration tools to validate the name of its tool
    from deployctl.operations.application.project import Project

# The maximum wait of a migration for a lock, in seconds. While it waits, every later statement on the table
# queues behind it, so a long wait is an outage (PostgreSQL manual, "Explicit Locking").
LOCK_TIMEOUT_S = 5
STATUS_TIMEOUT_S = 30
PROGRESS_EVERY_S = 0.5
UNREADABLE = "The migration status could not be read"


@dataclass(frozen=True)
class Failed:
    """A migration that started and did not finish; `logs` is the text that the tool recorded."""

    name: str
    started_at: dt.datetime
    logs: str


@dataclass(frozen=True)
class Status:
    """The migration status: the migrations in the database compared with the project's.

    Args:
        total: the number of migrations in the project.
        applied: names, in the order in which they were applied.
        pending: names, in the order in which they will be applied.
        failed: migrations that started and neither finished nor were resolved.
        edited: applied migrations whose file has changed since.
        unknown: applied migrations that are missing from the project.
        checksums: the SHA-256 of each migration's file by name, for the run's record. Migrations that are
            only in the database have none.
    """

    total: int
    applied: tuple[str, ...]
    pending: tuple[str, ...]
    failed: tuple[Failed, ...] = ()
    edited: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    checksums: Mapping[str, str] = field(default_factory=dict)

    @property
    def up_to_date(self) -> bool:
        """Return True if nothing is pending or failed and the files match the applied migrations."""
        return not (self.pending or self.failed or self.edited or self.unknown)

    @property
    def findings(self) -> list[str]:
        """Return a sentence for each reason why the database is not up to date."""
        found = [
            f"The migration {failure.name} failed at {failure.started_at:%Y-%m-%d %H:%M:%S %Z} "
            f"and has not been resolved: {first_line(failure.logs)}"
            for failure in self.failed
        ]
        if self.edited:
            found.append(
                f"Edited after they were applied: {', '.join(self.edited)}. Restore the original files, and "
                "make the change in a new migration."
            )
        if self.unknown:
            found.append(
                f"Applied but missing from the project: {', '.join(self.unknown)}. The project may be older "
                "than the database."
            )
        if self.pending:
            found.append(f"Pending: {', '.join(self.pending)}.")
        return found

    @property
    def facts(self) -> dict[str, Json]:
        """Return the status as JSON."""
        return {
            "total": self.total,
            "applied": list(self.applied),
            "pending": list(self.pending),
            "failed": [
                {"name": f.name, "started_at": f.started_at.isoformat(), "logs": f.logs} for f in self.failed
            ],
            "edited": list(self.edited),
            "unknown": list(self.unknown),
            "checksums": dict(self.checksums),
        }


class Migrator(abc.ABC):
    """A migration tool for one project; each file of `tools/`, named after `tool`, contains one subclass."""

    tool: ClassVar[str]
    title: ClassVar[str]
    default_folder: ClassVar[str]

    def __init__(self, project: Project) -> None:
        self.project = project

    @property
    def folder(self) -> Path:
        """Return the folder of the migrations.

        Raises:
            OperationFailed: it doesn't exist, or is outside of the project.
        """
        named = self.project.migrations.folder or self.default_folder
        folder = (self.project.folder / named).resolve()
        if not folder.is_relative_to(self.project.folder):
            raise OperationFailed(
                f"The migrations folder {named} is outside of the project {self.project.folder}. "
                "Correct migrations.folder in deployctl.toml."
            )
        if not folder.is_dir():
            raise OperationFailed(
                f"The project {self.project.folder} has no folder {named}. "
                "Correct migrations.folder in deployctl.toml."
            )
        return folder

    @abc.abstractmethod
    def status(self, job: Job) -> Status:
        """Return the migration status of the database."""

    @abc.abstractmethod
    def apply(self, job: Job) -> Sequence[str]:
        """Apply the pending migrations in order, and return their names.

        Raises:
            OperationFailed: names the migration, the reason, the blocking sessions, and the migrations
                applied before.
        """

    def pending(self, job: Job) -> Sequence[str]:
        """Return the names of the migrations that `apply` would apply."""
        return self.status(job).pending


def refuse_unless_ready(status: Status) -> None:
    """Raise OperationFailed if a migration failed and was not resolved (Prisma's P3009) or was edited."""
    reasons = Status(
        total=status.total, applied=(), pending=(), failed=status.failed, edited=status.edited
    ).findings
    if reasons:
        advice = (
            " Compare the schema with the migration, then mark it as rolled back or as applied "
            "(prisma migrate resolve)."
            if status.failed
            else ""
        )
        raise OperationFailed(f"Nothing was applied. {' '.join(reasons)}{advice}")


def progress_so_far(done: Sequence[str]) -> str:
    """Return a sentence about the migrations that a run applied before it failed."""
    if not done:
        return "This run applied no other migrations."
    return f"This run applied these migrations before, and they remain applied: {', '.join(done)}."


def first_line(text: str) -> str:
    """Return the first line of a log that contains ERROR, otherwise the first line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "ERROR" in line]
    return (errors or lines or ["no reason was recorded"])[0]


def progress_reporter(
    job: Job, pending: Sequence[str], applied: Callable[[], Collection[str]]
) -> Callable[[], None]:
    """Return a function that reports the number of applied migrations, to be called while a tool runs.

    Args:
        pending: the migrations that the tool applies.
        applied: returns the applied migrations from the database.
    """
    reported, next_query = -1, 0.0

    def report() -> None:
        nonlocal reported, next_query
        if time.monotonic() < next_query:
            return
        next_query = time.monotonic() + PROGRESS_EVERY_S
        try:
            count = len(set(applied()).intersection(pending))
        except psycopg.Error:
            next_query = math.inf  # the migration continues without progress
            return
        if count != reported:
            reported = count
            job.advance(count, len(pending), unit="migrations")

    return report
