"""What every migration tool offers, and what stops any of them."""

from __future__ import annotations

import abc
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from deployctl.operations.base import Job, Json, OperationFailed

if TYPE_CHECKING:
    from deployctl.operations.project import Project

# How long a migration may wait for a lock, in seconds. While it waits, every later statement on the table
# queues behind it, so a long wait is an outage (PostgreSQL manual, "Explicit Locking").
LOCK_TIMEOUT_S = 5


@dataclass(frozen=True)
class Failed:
    """A migration that began and did not end. `logs` is what the tool wrote down."""

    name: str
    started_at: dt.datetime
    logs: str


@dataclass(frozen=True)
class Status:
    """Where a database stands against the project's migrations.

    Args:
        total: how many migrations the project has.
        applied: names, in the order in which they were applied.
        pending: names, in the order in which they will be.
        failed: began and neither ended nor were resolved.
        edited: applied, but the file has changed since.
        unknown: applied, but the project has no such migration.
        checksums: the SHA-256 of each migration's file as it lies on disk, by name, for the record of what
            was applied; those that are only in the database have none.
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
        """Nothing pending, nothing failed, and what was applied is what the files say."""
        return not (self.pending or self.failed or self.edited or self.unknown)

    @property
    def findings(self) -> list[str]:
        """One sentence for each way in which it is not up to date."""
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
        """For the run's record and for scripts."""
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
    """One tool, for one project. Each is the one class of a file in `tools/` that is named after `tool`."""

    tool: ClassVar[str]
    title: ClassVar[str]
    default_folder: ClassVar[str]

    def __init__(self, project: Project) -> None:
        self.project = project

    @property
    def folder(self) -> Path:
        """Where the migrations are.

        Raises:
            OperationFailed: there is no such folder, or a link leads it out of the project.
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
        """Read where the database stands. Changes nothing."""

    @abc.abstractmethod
    def apply(self, job: Job) -> Sequence[str]:
        """Apply what is pending, in order.

        Returns:
            The names of the migrations applied by this call.

        Raises:
            OperationFailed: with the migration, the reason, who blocked it, and what was applied before.
        """

    def pending(self, job: Job) -> Sequence[str]:
        """The names of what `apply` would apply."""
        return self.status(job).pending


def refuse_unless_ready(status: Status) -> None:
    """Stop before anything is applied on top of a state that is not what the files say.

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
    """What this run had applied before it failed, as a sentence."""
    if not done:
        return "No other migration was applied by this run."
    return f"Applied before by this run, and staying: {', '.join(done)}."


def first_line(text: str) -> str:
    """The line of a log that says most: the error, if one is marked, else the first."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    marked = [line for line in lines if "ERROR" in line]
    return (marked or lines or ["nothing was written down"])[0]
