"""Run ANALYZE table by table, to update the statistics of the query planner."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

from deployctl.operations import table_maintenance
from deployctl.operations.framework.base import Job, Operation, Outcome, param
from deployctl.postgres.queries import maintenance
from deployctl.text import pluralize


class Analyze(Operation):
    """Run ANALYZE on every table, and check that the server did it."""

    kind: ClassVar[str] = "analyze"
    title: ClassVar[str] = "Analyze tables"
    help: ClassVar[str] = (
        "Updates the planner's statistics with ANALYZE, table by table, without blocking reads or writes. "
        "Skips a table that stays locked for 5 s, and names the session that locks it."
    )
    # No data changes, so nobody needs to decide after the loss of a worker.
    changes_target: ClassVar[bool] = False
    exclusive: ClassVar[bool] = True  # a migration would have to wait for its locks
    time_limit_s: ClassVar[int] = 4 * 3600

    @dataclass(frozen=True)
    class Params:
        table: str = param(
            "", label="Table", help="One table, such as Plan or billing.Plan; empty for all.", maximum=127
        )

    def perform(self, job: Job) -> Outcome:
        started = time.monotonic()
        tables = table_maintenance.select_tables(job, "analyze", job.params.table)
        done = table_maintenance.process_tables(
            job,
            tables,
            work="analyze",
            statement=maintenance.analyze,
            read_progress=maintenance.analyze_progress,
        )
        done.fail_if_skipped("analyzed")
        duration = time.monotonic() - started
        return Outcome(
            summary=f"Analyzed {pluralize(len(done.done), 'table')} in {duration:.1f} s.",
            facts={"tables": [table.key for table in done.done], "duration_s": round(duration, 3)},
        )
