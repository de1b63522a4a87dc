"""Gather the statistics by which PostgreSQL plans its queries."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

from deployctl.operations import table_maintenance
from deployctl.operations.framework.base import Job, Operation, Outcome, param
from deployctl.postgres.queries import maintenance
from deployctl.text import pluralize


class Analyze(Operation):
    """ANALYZE, table by table, each seen to have been done."""

    kind: ClassVar[str] = "analyze"
    title: ClassVar[str] = "Analyze"
    help: ClassVar[str] = (
        "Gathers the planner's statistics (ANALYZE), table by table. Blocks no reading and no writing; a "
        "table that stays locked for 5 s is left out and named with the session that holds it."
    )
    # No data changes, and a lost worker leaves nothing to decide: tables are analyzed or are not.
    changes_target: ClassVar[bool] = False
    exclusive: ClassVar[bool] = True  # a migration would have to wait for its locks
    time_limit_s: ClassVar[int] = 4 * 3600

    @dataclass(frozen=True)
    class Params:
        """Which tables."""

        table: str = param(
            "", label="Table", help="Only this one, such as Plan or billing.Plan; empty for all.", maximum=127
        )

    def perform(self, job: Job) -> Outcome:
        """Analyze, then judge whether every table was."""
        started = time.monotonic()
        tables = table_maintenance.select_tables(job, "analyze", job.params.table)
        done = table_maintenance.process_tables(
            job,
            tables,
            work="analyze",
            statement=maintenance.analyze,
            look=maintenance.analyze_progress,
        )
        done.fail_if_skipped("analyzed")
        duration = time.monotonic() - started
        return Outcome(
            summary=f"Analyzed {pluralize(len(done.done), 'table')} in {duration:.1f} s.",
            facts={"tables": [table.key for table in done.done], "duration_s": round(duration, 3)},
        )
