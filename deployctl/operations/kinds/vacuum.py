"""Free the space of rows that were deleted or overwritten."""

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
    """VACUUM, table by table; what could not be freed is said with the one who keeps it."""

    kind: ClassVar[str] = "vacuum"
    title: ClassVar[str] = "Vacuum"
    help: ClassVar[str] = (
        "Frees the space of dead rows (VACUUM, never FULL), table by table, and says who keeps what cannot "
        "be freed. Blocks no reading and no writing; a table that stays locked for 5 s is left out and named."
    )
    # No row that anybody can see changes, and a lost worker leaves nothing to decide.
    changes_target: ClassVar[bool] = False
    exclusive: ClassVar[bool] = True  # a migration would have to wait for its locks
    time_limit_s: ClassVar[int] = 12 * 3600

    @dataclass(frozen=True)
    class Params:
        """Which tables, and what besides."""

        table: str = param(
            "", label="Table", help="Only this one, such as Plan or billing.Plan; empty for all.", maximum=127
        )
        analyze: bool = param(True, label="Analyze, too", help="Gathers the planner's statistics as well.")
        truncate: bool = param(
            False,
            label="Shorten files",
            help="Gives empty space at a table's end back to the disk; locks that table for a moment.",
        )

    def perform(self, job: Job) -> Outcome:
        """Vacuum, then judge whether every table was, and look at what is left."""
        started = time.monotonic()

        def statement(session: psycopg.Connection, table: sql.Identifier) -> None:
            maintenance.vacuum(session, table, analyze=job.params.analyze, truncate=job.params.truncate)

        tables = table_maintenance.select_tables(job, "vacuum", job.params.table)
        done = table_maintenance.process_tables(
            job, tables, work="vacuum", statement=statement, look=maintenance.vacuum_progress
        )
        with job.step("Look at what is left"):
            left = _what_is_left(job, done.done)
        done.fail_if_skipped("vacuumed")
        duration = time.monotonic() - started
        return Outcome(
            summary=f"Vacuumed {pluralize(len(done.done), 'table')} in {duration:.1f} s; "
            f"dead rows: {left['dead_rows_before']} before, {left['dead_rows_after']} after.",
            facts={
                "tables": [table.key for table in done.done],
                "duration_s": round(duration, 3),
                **left,
            },
        )


def _what_is_left(job: Job, done: list[MaintainableTable]) -> dict[str, Json]:
    """Dead rows as the server estimates them, and who keeps them from being removed."""
    ours = {table.oid for table in done}
    with (
        failure_on_error(job, "The tables were vacuumed, but what is left could not be read"),
        job.connect(read_only=True, statement_timeout_s=30) as connection,
    ):
        after = [t for t in maintenance.maintainable_tables(connection, "vacuum") if t.oid in ours]
        keeper = maintenance.oldest_snapshot(connection)
    dead = sum(table.dead_rows for table in after)
    kept_by: str | None = None
    if dead and keeper is not None:
        since = f" since {keeper.since:%Y-%m-%d %H:%M:%S %Z}" if keeper.since else ""
        kept_by = f"{keeper.kind} {keeper.name}{since}"
        job.log(
            f"Some dead rows are left: {dead}. The oldest snapshot is kept by {kept_by}.", level="warning"
        )
    return {
        "dead_rows_before": sum(table.dead_rows for table in done),
        "dead_rows_after": dead,
        "kept_by": kept_by,
    }
