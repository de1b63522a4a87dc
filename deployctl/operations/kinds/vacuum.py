"""Run VACUUM table by table, to free the space of dead rows."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

import psycopg
from psycopg import sql

from deployctl.operations import table_maintenance
from deployctl.operations.framework.base import Job, Json, Operation, Outcome, param
from deployctl.operations.framework.postgres_errors import failure_on_error
from deployctl.postgres.queries import maintenance
from deployctl.postgres.queries.maintenance import MaintainableTable
from deployctl.text import pluralize


class Vacuum(Operation):
    """Run VACUUM on every table, and report what prevents the removal of the remaining dead rows."""

    kind: ClassVar[str] = "vacuum"
    title: ClassVar[str] = "Vacuum tables"
    help: ClassVar[str] = (
        "Frees the space of dead rows with VACUUM (never FULL), table by table, without blocking reads or "
        "writes. Skips a table that stays locked for 5 s, and reports what prevents removing dead rows."
    )
    # No visible row changes, so nobody needs to decide after the loss of a worker.
    changes_target: ClassVar[bool] = False
    exclusive: ClassVar[bool] = True  # a migration would have to wait for its locks
    time_limit_s: ClassVar[int] = 12 * 3600

    @dataclass(frozen=True)
    class Params:
        table: str = param(
            "", label="Table", help="One table, such as Plan or billing.Plan; empty for all.", maximum=127
        )
        analyze: bool = param(True, label="Also analyze", help="Also updates the planner's statistics.")
        truncate: bool = param(
            False,
            label="Truncate files",
            help="Returns empty space at the end of a table to the disk; this locks the table for a moment.",
        )

    def perform(self, job: Job) -> Outcome:
        started = time.monotonic()

        def statement(session: psycopg.Connection, table: sql.Identifier) -> None:
            maintenance.vacuum(session, table, analyze=job.params.analyze, truncate=job.params.truncate)

        tables = table_maintenance.select_tables(job, "vacuum", job.params.table)
        done = table_maintenance.process_tables(
            job, tables, work="vacuum", statement=statement, read_progress=maintenance.vacuum_progress
        )
        with job.step("Count the remaining dead rows"):
            remaining = _remaining_dead_rows(job, done.done)
        done.fail_if_skipped("vacuumed")
        duration = time.monotonic() - started
        return Outcome(
            summary=f"Vacuumed {pluralize(len(done.done), 'table')} in {duration:.1f} s; "
            f"dead rows: {remaining['dead_rows_before']} before, {remaining['dead_rows_after']} after.",
            facts={
                "tables": [table.key for table in done.done],
                "duration_s": round(duration, 3),
                **remaining,
            },
        )


def _remaining_dead_rows(job: Job, done: list[MaintainableTable]) -> dict[str, Json]:
    """Return the server's estimate of dead rows, and the snapshot that prevents their removal."""
    vacuumed = {table.oid for table in done}
    with (
        failure_on_error(job, "The tables were vacuumed, but the remaining dead rows could not be read"),
        job.connect(read_only=True, statement_timeout_s=30) as connection,
    ):
        after = [t for t in maintenance.maintainable_tables(connection, "vacuum") if t.oid in vacuumed]
        snapshot = maintenance.oldest_snapshot(connection)
    dead = sum(table.dead_rows for table in after)
    kept_by: str | None = None
    if dead and snapshot is not None:
        since = f" since {snapshot.since:%Y-%m-%d %H:%M:%S %Z}" if snapshot.since else ""
        kept_by = f"{snapshot.kind} {snapshot.name}{since}"
        job.log(
            f"{pluralize(dead, 'dead row is left', 'dead rows are left')}. "
            f"The oldest snapshot is held by {kept_by}.",
            level="warning",
        )
    return {
        "dead_rows_before": sum(table.dead_rows for table in done),
        "dead_rows_after": dead,
        "kept_by": kept_by,
    }
