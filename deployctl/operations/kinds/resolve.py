"""Mark a failed Prisma migration as rolled back, so that migrations can be applied again."""

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

STATE_LENGTH = 12


class Resolve(Operation):
    """Show the schema in a first run; mark the migration in a second one, if the schema is unchanged."""

    kind: ClassVar[str] = "resolve"
    title: ClassVar[str] = "Resolve failed migration"
    help: ClassVar[str] = (
        "Marks a failed Prisma migration as rolled back. The first run lists the schema and prints its "
        "state; run it again with this state. If the schema has changed meanwhile, nothing is marked."
    )
    changes_target: ClassVar[bool] = True
    exclusive: ClassVar[bool] = True
    time_limit_s: ClassVar[int] = 600

    @dataclass(frozen=True)
    class Params:
        migration: str = param(
            label="Migration",
            help="The migration's full name, such as 20250106090000_init.",
            minimum=1,
            maximum=255,
        )
        state: str = param(
            "",
            label="Schema state",
            help="The state that the first run printed; empty for the first run.",
            maximum=STATE_LENGTH,
        )

    def perform(self, job: Job) -> Outcome:
        failure, state = show_schema(job, job.params.migration)
        _require_same_state(failure.name, expected=job.params.state, state=state)
        after = mark(job, failure.name)
        return Outcome(
            summary=f"Marked {failure.name} as rolled back; it is pending again.",
            facts={"migration": failure.name, "state": state, "logs": failure.logs, **after.facts},
        )


def show_schema(job: Job, name: str) -> tuple[Failed, str]:
    """Log the record of a failed migration and the current schema.

    Args:
        name: the migration's full name.

    Returns:
        The failed migration, and the state: a digest of the schema.

    Raises:
        OperationFailed: it is not recorded as failed, or is still running; nothing was changed.
    """
    migrator = _prisma_of(job)
    with job.step("Read the migration status"):
        failure = _find_failure(name, migrator.status(job))
        job.log(f"{name} started at {failure.started_at:%Y-%m-%d %H:%M:%S %Z}. Recorded log:")
        for line in (failure.logs or "empty").splitlines():
            job.log(f"  {line}")
    with job.step("List the schema"):
        return failure, _list_schema(job, migrator, name)


def mark(job: Job, name: str) -> Status:
    """Mark a failed migration as rolled back.

    Returns:
        The migration status afterwards.

    Raises:
        OperationFailed: it could not be marked, or is still recorded as failed.
    """
    migrator = _prisma_of(job)
    with job.step(f"Mark {name} as rolled back"):
        migrator.mark_rolled_back(job, name)
    with job.step("Check the migration status"):
        after = migrator.status(job)
        if any(failed.name == name for failed in after.failed):
            raise OperationFailed(f"Prisma reported no error, but {name} is still recorded as failed.")
    return after


def _prisma_of(job: Job) -> PrismaHistory:
    migrator = migrator_for(require_project(job))
    if isinstance(migrator, PrismaHistory):
        return migrator
    raise OperationFailed(
        f"Nothing was changed: only Prisma records failed migrations, and the project uses {migrator.tool}. "
        "Fix the cause, then apply the migrations again."
    )


def _find_failure(name: str, status: Status) -> Failed:
    for failure in status.failed:
        if failure.name == name:
            return failure
    failed = ", ".join(failure.name for failure in status.failed)
    known = f"Failed migrations: {failed}." if failed else "No migration is recorded as failed."
    raise OperationFailed(f"Nothing was changed: {name} is not recorded as failed. {known}")


def _list_schema(job: Job, migrator: PrismaHistory, name: str) -> str:
    """Log the schema, first the objects that the migration's file names; return the schema's digest."""
    # Take Prisma's lock: without it, a migration that is still running would look like a failed one.
    with LockWatch(job) as watch, failure_on_error(job, UNREADABLE), migrator.open(job) as connection:
        migrator.take_lock(connection, watch, state="Nothing was changed")
        objects = schema_objects(connection, migrator.schema(job))
    named = _objects_in_script(migrator, name, objects)
    if named is None:
        job.log(
            f"The project has no file of {name}, so the objects that it creates are unknown.", level="warning"
        )
    elif named:
        job.log(f"Objects named in {name} that exist now; compare each with the file:")
    else:
        job.log(f"No object named in {name} exists now.")
    for found in named or ():
        job.log(f"  {found}", level="warning")
    job.log(f"All objects in schema {migrator.schema(job)}:")
    for found in objects:
        job.log(f"  {found}")
    return hashlib.sha256("\n".join(map(str, objects)).encode()).hexdigest()[:STATE_LENGTH]


def _objects_in_script(
    migrator: PrismaHistory, name: str, objects: Sequence[SchemaObject]
) -> list[SchemaObject] | None:
    """Return the objects whose names occur in the migration's file; None if there is no file."""
    script = next((found.script() for found in migrator.migrations() if found.name == name), None)
    if script is None:
        return None
    words = set(re.findall(r"\w+", script.decode("utf-8")))
    return [found for found in objects if found.name in words]


def _require_same_state(name: str, *, expected: str, state: str) -> None:
    if expected == state:
        return
    if expected:
        raise OperationFailed(
            f"{name} was not marked: the schema's state is {state}, not {expected}. Check the schema in the "
            f"log, then run this again with the state {state} if nothing of {name} is left."
        )
    raise OperationFailed(
        f"{name} was not marked yet: check the schema in the log first. If nothing of {name} is left, run "
        f"this again with the state {state}."
    )
