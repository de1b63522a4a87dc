"""Say of a failed Prisma migration that nothing is left of it, so that the next ones may run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from deployctl.operations.application.project_helpers import require_project
from deployctl.operations.framework.base import Job, Operation, OperationFailed, Outcome, param
from deployctl.operations.framework.postgres_errors import failure_on_error
from deployctl.operations.migrations import migrator_for
from deployctl.operations.migrations.base import UNREADABLE, Failed, Status
from deployctl.operations.migrations.lock_observers import LockWatch
from deployctl.operations.migrations.prisma_history import PrismaHistory
from deployctl.postgres.queries.schema_snapshot import SchemaObject, schema_objects

LETTERS = 12


class Resolve(Operation):
    """Two runs: the first shows the schema, the second marks, if the schema is still the one shown."""

    kind: ClassVar[str] = "resolve"
    title: ClassVar[str] = "Resolve a failed migration"
    help: ClassVar[str] = (
        "Marks a failed Prisma migration as rolled back. Run it once to see what the schema holds now; run "
        "it again with the state that it names. If the schema changed meanwhile, nothing is marked."
    )
    changes_target: ClassVar[bool] = True
    exclusive: ClassVar[bool] = True
    time_limit_s: ClassVar[int] = 600

    @dataclass(frozen=True)
    class Params:
        """Which migration, and what was seen."""

        migration: str = param(
            label="Migration",
            help="Its full name, typed, such as 20250106090000_init.",
            minimum=1,
            maximum=255,
        )
        state: str = param(
            "",
            label="State seen",
            help="What the first run named after showing the schema; empty for that first run.",
            maximum=LETTERS,
        )

    def perform(self, job: Job) -> Outcome:
        """Show, compare with what was shown before, mark, read back."""
        failure, state = shown(job, job.params.migration)
        _refuse_unless_seen(failure.name, given=job.params.state, state=state)
        after = mark(job, failure.name)
        return Outcome(
            summary=f"{failure.name} is marked as rolled back, and pending again.",
            facts={"migration": failure.name, "state": state, "logs": failure.logs, **after.facts},
        )


def shown(job: Job, name: str) -> tuple[Failed, str]:
    """Log what is known of a failed migration, and the schema as it is now.

    Args:
        name: its full name.

    Returns:
        The failed migration, and what identifies the schema that was shown.

    Raises:
        OperationFailed: it is not recorded as failed, or still runs; nothing was changed.
    """
    migrator = _prisma_of(job)
    with job.step("Read the migration status"):
        failure = _failure_called(name, migrator.status(job))
        job.log(f"{name} began at {failure.started_at:%Y-%m-%d %H:%M:%S %Z}. What was written down of it:")
        for line in (failure.logs or "nothing").splitlines():
            job.log(f"  {line}")
    with job.step("Show what the schema holds now"):
        return failure, _show(job, migrator, name)


def mark(job: Job, name: str) -> Status:
    """Mark a migration that `shown` has shown as rolled back.

    Returns:
        The status read back.

    Raises:
        OperationFailed: it could not be marked, or is recorded as failed all the same.
    """
    migrator = _prisma_of(job)
    with job.step(f"Mark {name} as rolled back"):
        migrator.mark_rolled_back(job, name)
    with job.step("Read the status back"):
        after = migrator.status(job)
        if any(failed.name == name for failed in after.failed):
            raise OperationFailed(f"{name} is still recorded as failed, although it was to be resolved.")
    return after


def _prisma_of(job: Job) -> PrismaHistory:
    migrator = migrator_for(require_project(job))
    if isinstance(migrator, PrismaHistory):
        return migrator
    raise OperationFailed(
        f"Nothing was changed: the project uses {migrator.tool}, and only Prisma keeps failed migrations on "
        "record until somebody resolves them. Mend the cause and run the migrations again."
    )


def _failure_called(name: str, status: Status) -> Failed:
    for failure in status.failed:
        if failure.name == name:
            return failure
    failed = ", ".join(failure.name for failure in status.failed)
    there = f"Failed are: {failed}." if failed else "No migration is recorded as failed."
    raise OperationFailed(f"Nothing was changed: {name} is not recorded as failed. {there}")


def _show(job: Job, migrator: PrismaHistory, name: str) -> str:
    """Log the schema, first what the migration's own file names, and return what identifies it."""
    # Prisma's turn is taken for a moment: a record without an end may be of a migration that runs just now.
    with LockWatch(job) as watch, failure_on_error(job, UNREADABLE), migrator.open(job) as connection:
        migrator.take_lock(connection, watch, state="Nothing was changed")
        things = schema_objects(connection, migrator.schema(job))
    named = _named_in(migrator, name, things)
    if named is None:
        job.log(f"The project has no file of {name}, so what it makes is not known.", level="warning")
    elif named:
        job.log(f"Named in {name} and there now; compare each with what the file would have made:")
    else:
        job.log(f"Nothing that {name} names is there now.")
    for thing in named or ():
        job.log(f"  {thing}", level="warning")
    job.log(f"The whole schema {migrator.schema(job)}:")
    for thing in things:
        job.log(f"  {thing}")
    return hashlib.sha256("\n".join(map(str, things)).encode()).hexdigest()[:LETTERS]


def _named_in(
    migrator: PrismaHistory, name: str, things: Sequence[SchemaObject]
) -> list[SchemaObject] | None:
    """What is there of the names that occur in the migration's file; None without a file."""
    script = next((found.script() for found in migrator.migrations() if found.name == name), None)
    if script is None:
        return None
    words = set(re.findall(r"\w+", script.decode("utf-8")))
    return [thing for thing in things if thing.name in words]


def _refuse_unless_seen(name: str, *, given: str, state: str) -> None:
    if given == state:
        return
    if given:
        raise OperationFailed(
            f"{name} was not marked: the schema is not the one that was shown as {given}. It is {state} now; "
            f"read it above, and run this again with the state {state} if nothing is left of {name}."
        )
    raise OperationFailed(
        f"{name} was not marked yet: the schema was shown for you to read. If nothing is left of {name}, or "
        f"you have removed it, run this again with the state {state}."
    )
