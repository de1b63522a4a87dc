"""Go back to a backup by the four steps of the operator's checklist: resolve, restore, validate, call."""

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

# The application lost its sessions when the names changed, and takes a moment to connect again.
HEALTHY_WITHIN_S = 30.0
ASK_EVERY_S = 2.0
ANSWER_TIMEOUT_S = 10


class Rollback(Operation):
    """Each part is another operation's own work; every failure says how far it came and what serves."""

    kind: ClassVar[str] = "rollback"
    title: ClassVar[str] = "Roll back"
    help: ClassVar[str] = (
        "Marks the failed migration as rolled back, restores a backup as “Restore” does, validates the "
        "result and calls the application's health address. On production it takes a second person, and "
        "what is there is backed up first."
    )
    changes_target: ClassVar[bool] = True
    exclusive: ClassVar[bool] = True
    time_limit_s: ClassVar[int] = 24 * 3600
    needs_second_person: ClassVar[bool] = True
    overwrites: ClassVar[str] = Restore.overwrites

    @dataclass(frozen=True)
    class Params(Restore.Params):
        # Named, never guessed: the newest one may hold what is to be undone.
        backup: str = param(
            label="Backup", help="Its name: one from before what is to be undone.", minimum=1, maximum=200
        )
        migration: str = param(
            "",
            label="Failed migration",
            help="Its full name, where one is recorded as failed; it is marked as rolled back first.",
            maximum=255,
        )

    def perform(self, job: Job) -> Outcome:
        """Resolve, restore, validate, call."""
        marked = _resolve(job)
        restored = _restore(job, marked)
        # It serves from now on, whatever the next parts find.
        job.backup_catalog.record_outcome(restored)
        validated = _validate(job, restored)
        answer = _call(job, restored)
        return Outcome(
            summary=" ".join([restored.summary, *_what_else(marked, validated, answer)]),
            facts={
                **restored.facts,
                "migration": marked or None,
                "validated": validated.facts if validated else None,
                "health": answer,
            },
        )


def _resolve(job: Job) -> str:
    """Mark the failed migration, which the parameters must name.

    Returns:
        Its name, "" where none has failed.
    """
    named: str = job.params.migration
    project = job.target.project
    migrator = migrator_for(project) if project is not None else None
    if not named and not isinstance(migrator, PrismaHistory):
        job.log("Nothing keeps failed migrations on record here, so there is none to resolve.")
        return ""
    with job.step("Look for a failed migration"):
        failed = _failed(job, migrator) if isinstance(migrator, PrismaHistory) else []
        others = [name for name in failed if name != named]
        if others:
            raise OperationFailed(
                f"Nothing was changed: {', '.join(others)} is recorded as failed, and was not named. "
                "Start the rollback again and name it."
            )
    if not named:
        job.log("No migration is recorded as failed.")
        return ""
    part = sub_job(job, "Resolve", Resolve.Params(migration=named))
    resolve.shown(part, named)
    resolve.mark(part, named)
    return named


def _failed(job: Job, migrator: PrismaHistory) -> list[str]:
    """The failed migrations; none where the database is gone, or was said to be beyond a backup."""
    try:
        return [failure.name for failure in migrator.status(job).failed]
    except (DeployctlError, psycopg.Error) as error:
        job.raise_if_cancelled()
        said = sentence_of(error)
        is_gone = isinstance(error, CannotConnect) and error.reason == Reason.NO_SUCH_DATABASE
        if job.params.migration or not (is_gone or job.params.no_backup_reason.strip()):
            raise OperationFailed(
                f"Nothing was changed: the migrations could not be looked at. {said}"
            ) from error
        job.log(f"The migrations could not be looked at, so none is resolved. {said}", level="warning")
        return []


def _restore(job: Job, marked: str) -> Outcome:
    try:
        return Restore().perform(sub_job(job, "Restore", job.params))
    except DeployctlError as error:
        resolved = f" {marked} is marked as rolled back; what it had made is still there." if marked else ""
        raise OperationFailed(f"The rollback ended at the restore. {error.message}{resolved}") from error


def _validate(job: Job, restored: Outcome) -> Outcome | None:
    if job.target.project is None:
        job.log("The target has no project folder, so its application is not known: not validated.")
        return None
    try:
        # The project is of the version that is rolled back, the database of the one before.
        return validate(sub_job(job, "Validate", Validate.Params()), may_be_older=True)
    except DeployctlError as error:
        raise OperationFailed(
            f"The backup is restored, but is not sound. {error.message} {_state(job, restored)}"
        ) from error


def _call(job: Job, restored: Outcome) -> Json:
    project = job.target.project
    if project is None or project.application.health is None:
        job.log("deployctl.toml names no health address, so the application was not asked.")
        return None
    health, deadline = str(project.application.health), time.monotonic() + HEALTHY_WITHIN_S
    try:
        with job.step(f"Call {health}"):
            while True:
                job.raise_if_cancelled()
                try:
                    return http_check.ask_health(job, health, timeout_s=ANSWER_TIMEOUT_S)
                except OperationFailed as failure:
                    if time.monotonic() > deadline:
                        raise
                    job.log(failure.message, level="warning")
                time.sleep(ASK_EVERY_S)
    except OperationFailed as failure:
        raise OperationFailed(
            f"The database is rolled back, but the application does not answer. {failure.message} "
            f"{_state(job, restored)} Look at the application: was it rolled back, too?"
        ) from failure


def _state(job: Job, restored: Outcome) -> str:
    """What serves now, and where the rest is."""
    name, kept = job.target.connection.dbname, restored.facts["kept"]
    before = f" As it was before, it is kept as {kept}." if kept else ""
    return f"{name} is backup {restored.facts['backup']} now, proven, and serves.{before}"


def _what_else(marked: str, validated: Outcome | None, answer: Json) -> list[str]:
    return [
        *([f"{marked} was marked as rolled back before."] if marked else []),
        validated.summary if validated else "It was not validated: the target has no project folder.",
        "The application answers."
        if answer
        else "The application was not asked: no health address is named.",
    ]
