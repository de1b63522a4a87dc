"""Apply the project's pending migrations."""

from __future__ import annotations

import time
from typing import ClassVar

from deployctl.operations.application.project_helpers import require_project
from deployctl.operations.framework.base import Job, Operation, OperationFailed, Outcome
from deployctl.operations.migrations import migrator_for
from deployctl.text import pluralize


class Migrate(Operation):
    """Apply the pending migrations, and check the migration status afterwards."""

    kind: ClassVar[str] = "migrate"
    title: ClassVar[str] = "Apply migrations"
    help: ClassVar[str] = (
        "Applies the pending migrations in order. If a migration waits longer than 5 s for a lock, it fails "
        "and names the session that holds the lock."
    )
    changes_target: ClassVar[bool] = True
    exclusive: ClassVar[bool] = True
    time_limit_s: ClassVar[int] = 4 * 3600

    def perform(self, job: Job) -> Outcome:
        migrator = migrator_for(require_project(job))
        started = time.monotonic()
        applied = migrator.apply(job)
        duration = time.monotonic() - started
        with job.step("Check the migration status"):
            status = migrator.status(job)
            if status.pending or status.failed:
                raise OperationFailed(
                    f"Applied {pluralize(len(applied), 'migration')}, but the database is not up to date. "
                    + " ".join(status.findings)
                )
            for finding in status.findings:
                job.log(finding, level="warning")
        return Outcome(
            summary=_summary(len(applied), status.total, duration),
            facts={
                "tool": migrator.tool,
                "newly_applied": list(applied),
                "duration_s": round(duration, 3),
                **status.facts,
            },
        )


def _summary(applied: int, total: int, duration_s: float) -> str:
    if not applied:
        migrations = "the only migration is" if total == 1 else f"all {total} migrations are"
        return f"Nothing to apply: {migrations} already applied."
    return f"Applied {pluralize(applied, 'migration')} in {duration_s:.1f} s; {total} in total, none pending."
