"""The interface of a migration tool, the status of a database's migrations, and helpers of every tool."""

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

if TYPE_CHECKING:  # the project validates the name of its tool against those that exist
    from deployctl.operations.application.project import Project

# How long a migration may wait for a lock, in seconds. While it waits, every later statement on the table
# queues behind it, so a long wait is an outage (PostgreSQL manual, "Explicit Locking").
LOCK_TIMEOUT_S = 5
STATUS_TIMEOUT_S = 30
PROGRESS_EVERY_S = 0.5
UNREADABLE = "The migration status could not be read"


@dataclass(frozen=True)
class Failed:
    """A migration that began and did not finish. `logs` is what the tool recorded."""

    name: str
    started_at: dt.datetime
    logs: str


@dataclass(frozen=True)
class Status:
    """The state of a database compared with the project's migrations.

    Args:
        total: the number of migrations in the project.
        applied: names, in the order in which they were applied.
        pending: names, in the order in which they will be applied.
        failed: migrations that began and neither finished nor were resolved.
        edited: applied, but the file has changed since.
        unknown: applied, but missing from the project.
        checksums: the SHA-256 of each migration's file on disk, by name, for the record of what was applied;
            migrations that are only in the database have none.
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
        """Return a sentence for each reason why it is not up to date."""
        found = [
            f"The migration {failure.name} failed at {failure.started_at:%Y-%m-%d %H:%M:%S %Z} "
            f"and was not resolved: {first_line(failure.logs)}"
            for failure in self.failed
        ]
        if self.edited:
            found.append(
                f"Edited after they were applied: {', '.join(self.edited)}. Bring back the files as they "
                "were applied, and make the change in a new migration."
            )
        if self.unknown:
            found.append(
                f"Applied but not in the project: {', '.join(self.unknown)}. The project may be older than "
                "the database."
            )
        if self.pending:
            found.append(f"Not yet applied: {', '.join(self.pending)}.")
        return found

    @property
    def facts(self) -> dict[str, Json]:
        """Return the status as JSON for the run's record and for scripts."""
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
    """A migration tool for one project, the only class of a file in `tools/` that is named after `tool`."""

    tool: ClassVar[str]
    title: ClassVar[str]
    default_folder: ClassVar[str]

    def __init__(self, project: Project) -> None:
        self.project = project

    @property
    def folder(self) -> Path:
        """Return the folder of the migrations.

        Raises:
            OperationFailed: it does not exist, or a link leads out of the project.
        """
        named = self.project.migrations.folder or self.default_folder
        folder = (self.project.folder / named).resolve()
        if not folder.is_relative_to(self.project.folder):
            raise OperationFailed(
                f"The migrations folder {named} leads out of the project {self.project.folder}."
            )
        if not folder.is_dir():
            raise OperationFailed(
                f"The project {self.project.folder} has no folder {named}. "
                "Name the right one in deployctl.toml as migrations.folder."
            )
        return folder

    @abc.abstractmethod
    def status(self, job: Job) -> Status:
        """Read the status of the database. Changes nothing."""

    @abc.abstractmethod
    def apply(self, job: Job) -> Sequence[str]:
        """Apply the pending migrations in order, and return the names of those that this call applied.

        Raises:
            OperationFailed: with the migration, the reason, the blockers, and what was applied before.
        """

    def pending(self, job: Job) -> Sequence[str]:
        """Return the names of the migrations that `apply` would apply."""
        return self.status(job).pending


def refuse_unless_ready(status: Status) -> None:
    """Refuse to apply anything to a database that does not match the files.

    Raises:
        OperationFailed: a migration failed and was not resolved (Prisma's P3009), or was edited since.
    """
    reasons = Status(
        total=status.total, applied=(), pending=(), failed=status.failed, edited=status.edited
    ).findings
    if reasons:
        how = (
            " Look at the schema, then mark it as rolled back or as applied (prisma migrate resolve)."
            if status.failed
            else ""
        )
        raise OperationFailed(f"Nothing was applied. {' '.join(reasons)}{how}")


def progress_so_far(done: Sequence[str]) -> str:
    """Return a sentence on what this run had applied before it failed."""
    if not done:
        return "No other migration was applied by this run."
    return f"Applied before by this run, and staying: {', '.join(done)}."


def first_line(text: str) -> str:
    """Return the first line of a log that is marked as an error, else the first line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    marked = [line for line in lines if "ERROR" in line]
    return (marked or lines or ["nothing was written down"])[0]


def progress_reporter(
    job: Job, pending: Sequence[str], applied: Callable[[], Collection[str]]
) -> Callable[[], None]:
    """Return a function to call while a tool runs, which reports how many migrations it has applied.

    Args:
        pending: the migrations that the tool applies.
        applied: reads the applied migrations from the database.
    """
    reported, next_look = -1, 0.0

    def look() -> None:
        nonlocal reported, next_look
        if time.monotonic() < next_look:
            return
        next_look = time.monotonic() + PROGRESS_EVERY_S
        try:
            count = len(set(applied()).intersection(pending))
        except psycopg.Error:
            next_look = math.inf  # missing progress must not stop a migration
            return
        if count != reported:
            reported = count
            job.advance(count, len(pending), unit="migrations")

    return look
