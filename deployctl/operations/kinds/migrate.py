"""Apply the pending migrations."""

from __future__ import annotations

import time
from typing import ClassVar

from deployctl.operations.application.project_helpers import require_project
from deployctl.operations.framework.base import Job, Operation, OperationFailed, Outcome
from deployctl.operations.migrations import migrator_for
from deployctl.text import pluralize


class Migrate(Operation):
    """Brings the schema to where the project's migrations say, and reads it back."""

    kind: ClassVar[str] = "migrate"
    title: ClassVar[str] = "Migrate"
    help: ClassVar[str] = (
        "Applies the pending migrations in order. A migration that waits more than 5 s for a lock fails and "
        "names the session that holds it."
    )
    changes_target: ClassVar[bool] = True
    exclusive: ClassVar[bool] = True
    time_limit_s: ClassVar[int] = 4 * 3600

    def perform(self, job: Job) -> Outcome:
        """Apply, then read the status back: nothing may be pending."""
        migrator = migrator_for(require_project(job))
        started = time.monotonic()
        applied = migrator.apply(job)
        duration = time.monotonic() - started
        with job.step("Read the status back"):
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
        known = "the only migration was" if total == 1 else f"all {total} migrations were"
        return f"Nothing to apply: {known} there already."
    return f"Applied {pluralize(applied, 'migration')} in {duration_s:.1f} s; {total} in all, none pending."
