"""Roll back a target: resolve the failed migration, restore a backup, validate it, check the application."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

import psycopg

from deployctl.errors import DeployctlError
from deployctl.operations.framework.base import Job, Json, Operation, OperationFailed, Outcome, param
from deployctl.operations.framework.postgres_errors import sentence_of
from deployctl.operations.framework.sub_job import sub_job
from deployctl.operations.kinds import http_check, resolve
from deployctl.operations.kinds.resolve import Resolve
from deployctl.operations.kinds.restore import Restore
from deployctl.operations.kinds.validate import Validate, validate
from deployctl.operations.migrations import migrator_for
from deployctl.operations.migrations.prisma_history import PrismaHistory
from deployctl.postgres.connection import CannotConnect, Reason

# The application lost its sessions in the swap, and needs some time to reconnect.
HEALTHY_WITHIN_S = 30.0
CHECK_EVERY_S = 2.0
RESPONSE_TIMEOUT_S = 10


class Rollback(Operation):
    """Run the operations of a rollback in order; a failure reports the progress and the current database."""

    kind: ClassVar[str] = "rollback"
    title: ClassVar[str] = "Roll back"
    help: ClassVar[str] = (
        "Marks the failed migration as rolled back, restores a backup, validates the result and checks the "
        "application's health address. On production, requires dual approval and backs up the current "
        "database first."
    )
    changes_target: ClassVar[bool] = True
    exclusive: ClassVar[bool] = True
    time_limit_s: ClassVar[int] = 24 * 3600
    needs_second_person: ClassVar[bool] = True
    overwrites: ClassVar[str] = Restore.overwrites

    @dataclass(frozen=True)
    class Params(Restore.Params):
        # Required, because the newest backup may contain the changes to roll back.
        backup: str = param(
            label="Backup",
            help="The name of a backup made before the changes to roll back.",
            minimum=1,
            maximum=200,
        )
        migration: str = param(
            "",
            label="Failed migration",
            help="The full name of the migration that is recorded as failed, if any.",
            maximum=255,
        )

    def perform(self, job: Job) -> Outcome:
        marked = _resolve(job)
        restored = _restore(job, marked)
        # Now, because the restored database is in use even if a later part fails.
        job.backup_catalog.record_outcome(restored)
        validated = _validate(job, restored)
        health = _check_health(job, restored)
        return Outcome(
            summary=" ".join([restored.summary, *_other_results(marked, validated, health)]),
            facts={
                **restored.facts,
                "migration": marked or None,
                "validated": validated.facts if validated else None,
                "health": health,
            },
        )


def _resolve(job: Job) -> str:
    """Mark the failed migration as rolled back; the parameters must name it.

    Returns:
        The migration's name, "" if none has failed.
    """
    named: str = job.params.migration
    project = job.target.project
    migrator = migrator_for(project) if project is not None else None
    if not named and not isinstance(migrator, PrismaHistory):
        job.log("No failed migration to resolve: the target has no Prisma project.")
        return ""
    with job.step("Look for a failed migration"):
        failed = _failed(job, migrator) if isinstance(migrator, PrismaHistory) else []
        others = [name for name in failed if name != named]
        if others:
            raise OperationFailed(
                f"Nothing was changed: {', '.join(others)} is recorded as failed. "
                "Start the rollback again with this failed migration."
            )
    if not named:
        job.log("No migration is recorded as failed.")
        return ""
    part = sub_job(job, "Resolve", Resolve.Params(migration=named))
    resolve.show_schema(part, named)
    resolve.mark(part, named)
    return named


def _failed(job: Job, migrator: PrismaHistory) -> list[str]:
    """Return the failed migrations; none if the database is missing, or too damaged to be backed up."""
    try:
        return [failure.name for failure in migrator.status(job).failed]
    except (DeployctlError, psycopg.Error) as error:
        job.raise_if_cancelled()
        message = sentence_of(error)
        is_missing = isinstance(error, CannotConnect) and error.reason == Reason.NO_SUCH_DATABASE
        if job.params.migration or not (is_missing or job.params.no_backup_reason.strip()):
            raise OperationFailed(
                f"Nothing was changed: the migration status can't be read. {message}"
            ) from error
        job.log(
            f"The migration status can't be read, so no migration is resolved. {message}", level="warning"
        )
        return []


def _restore(job: Job, marked: str) -> Outcome:
    try:
        return Restore().perform(sub_job(job, "Restore", job.params))
    except DeployctlError as error:
        resolved = (
            f" {marked} is marked as rolled back, but its changes are still in the database."
            if marked
            else ""
        )
        raise OperationFailed(f"The rollback stopped at the restore. {error.message}{resolved}") from error


def _validate(job: Job, restored: Outcome) -> Outcome | None:
    if job.target.project is None:
        job.log("Not validated: the target has no project folder.")
        return None
    try:
        # The project folder still has the new version, the database an older one.
        return validate(sub_job(job, "Validate", Validate.Params()), may_be_older=True)
    except DeployctlError as error:
        raise OperationFailed(
            f"The backup is restored, but validation failed. {error.message} {_current_state(job, restored)}"
        ) from error


def _check_health(job: Job, restored: Outcome) -> Json:
    project = job.target.project
    if project is None or project.application.health is None:
        job.log("The application was not checked: deployctl.toml has no health address.")
        return None
    health, deadline = str(project.application.health), time.monotonic() + HEALTHY_WITHIN_S
    try:
        with job.step(f"Check {health}"):
            while True:
                job.raise_if_cancelled()
                try:
                    return http_check.check_health(job, health, timeout_s=RESPONSE_TIMEOUT_S)
                except OperationFailed as failure:
                    if time.monotonic() > deadline:
                        raise
                    job.log(failure.message, level="warning")
                time.sleep(CHECK_EVERY_S)
    except OperationFailed as failure:
        raise OperationFailed(
            f"The database is rolled back, but the application is not healthy. {failure.message} "
            f"{_current_state(job, restored)} Check that the application was rolled back, too."
        ) from failure


def _current_state(job: Job, restored: Outcome) -> str:
    name, kept = job.target.connection.dbname, restored.facts["kept"]
    original = f" The original database is kept as {kept}." if kept else ""
    return f"{name} is now backup {restored.facts['backup']} and in use.{original}"


def _other_results(marked: str, validated: Outcome | None, health: Json) -> list[str]:
    return [
        *([f"{marked} is marked as rolled back."] if marked else []),
        validated.summary if validated else "Not validated: the target has no project folder.",
        "The application is healthy."
        if health
        else "The application was not checked: deployctl.toml has no health address.",
    ]
