"""Compare the project's migrations with those applied to the database."""

from __future__ import annotations

from typing import ClassVar

from deployctl.operations.application.project_helpers import require_project
from deployctl.operations.framework.base import Job, Operation, OperationFailed, Outcome
from deployctl.operations.migrations import migrator_for
from deployctl.text import pluralize


class MigrationStatus(Operation):
    """Fail, and name the migration, if one is pending, failed, edited or unknown."""

    kind: ClassVar[str] = "migration_status"
    title: ClassVar[str] = "Check migration status"
    help: ClassVar[str] = (
        "Lists the project's migrations that are applied, pending, failed, or edited after they were "
        "applied. Succeeds only if all are applied and unchanged."
    )
    changes_target: ClassVar[bool] = False
    exclusive: ClassVar[bool] = False
    time_limit_s: ClassVar[int] = 300

    def perform(self, job: Job) -> Outcome:
        migrator = migrator_for(require_project(job))
        with job.step(f"Read the migration status ({migrator.title})"):
            status = migrator.status(job)
            job.log(
                f"{len(status.applied)} applied, {len(status.pending)} pending, {len(status.failed)} failed."
            )
            for finding in status.findings:
                job.log(finding, level="warning")
            if not status.up_to_date:
                raise OperationFailed(f"The database is not up to date. {' '.join(status.findings)}")
        return Outcome(
            summary=f"Up to date: {pluralize(status.total, 'migration')} applied, none pending.",
            facts={"tool": migrator.tool, **status.facts},
        )
