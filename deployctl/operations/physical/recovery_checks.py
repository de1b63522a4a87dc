"""What a recovered cluster holds, and whether it was recovered as asked."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass

from deployctl.operations.backup import table_stats
from deployctl.operations.backup.table_stats import TableStats
from deployctl.operations.framework.base import Job, OperationFailed
from deployctl.operations.physical.recovery_target import RecoveryTarget
from deployctl.operations.physical.scratch_server import ScratchServer
from deployctl.postgres.queries import recovery, relations, server
from deployctl.postgres.queries.recovery import DatabaseEntry, RecoveryState

STATE = "The target was not touched, and what was restored is removed."


@dataclass(frozen=True)
class Expected:
    """What the recovered cluster must be: the cluster, and the database by its oid."""

    system_identifier: str
    database_oid: int


@dataclass(frozen=True)
class Found:
    """What it was. `counts` maps "schema.table" of the target's database to rows."""

    recovered: RecoveryState
    databases: tuple[str, ...]
    counts: Mapping[str, int]
    recover_s: float


def recover_and_check(job: Job, copy: ScratchServer, moment: RecoveryTarget, expected: Expected) -> Found:
    """Recover a restored cluster, count, and stop it.

    Raises:
        OperationFailed: it did not reach the moment, or is not what it must be.
    """
    started = time.monotonic()
    with contextlib.ExitStack() as running:
        with job.step("Recover"):
            running.enter_context(copy.recovered())
            recovered, listed = _check_recovered(job, copy, moment, expected)
            recover_s = time.monotonic() - started
        with job.step("Count the rows"):
            counts = _count(job, copy, next(one.name for one in listed if one.oid == expected.database_oid))
        with job.step("Stop and remove"):
            running.close()
    return Found(recovered, tuple(one.name for one in listed), counts, recover_s)


def _check_recovered(
    job: Job, copy: ScratchServer, moment: RecoveryTarget, expected: Expected
) -> tuple[RecoveryState, list[DatabaseEntry]]:
    with copy.connect() as session:
        recovered, listed = recovery.recovery_state(session), recovery.databases(session)
        found = server.identity(session).system_identifier
    if found not in {None, expected.system_identifier}:
        raise OperationFailed(f"What was restored is the cluster {found}, not the target's. {STATE}")
    late = moment.time is not None and recovered.last_commit_at and recovered.last_commit_at > moment.time
    if recovered.in_recovery or recovered.replayed_lsn is None or late:
        raise OperationFailed(
            f"Recovery did not end at {moment}: it {'still goes on' if recovered.in_recovery else 'ended'} "
            f"at {recovered.replayed_lsn}, its last transaction committed at {recovered.last_commit_at}. "
            f"{STATE}"
        )
    if expected.database_oid not in {one.oid for one in listed}:
        names = ", ".join(one.name for one in listed)
        raise OperationFailed(
            "The cluster was recovered, but at that moment the target's database (oid "
            f"{expected.database_oid}) was not in it. It held: {names}. {STATE} Was the database made later?"
        )
    last = f", last transaction committed at {recovered.last_commit_at}" if recovered.last_commit_at else ""
    job.log(f"RecoveryState to {recovered.replayed_lsn} on timeline {recovered.timeline}{last}.")
    return recovered, listed


def _count(job: Job, copy: ScratchServer, database: str) -> dict[str, int]:
    """Read every row of the target's database; a page that is damaged fails it."""
    stats = TableStats()
    with copy.connect(database) as session:
        tables = relations.tables(session)

        def look() -> None:
            job.raise_if_cancelled()
            job.advance(len(stats.tables), len(tables), unit="tables", phase="count")

        table_stats.collect(session, tables, stats, with_digests=False, look=look)
    return {table.key: stats.tables[table.oid] for table in tables}
