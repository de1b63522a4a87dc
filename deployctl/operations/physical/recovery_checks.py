"""Recover a restored cluster, check that it reached the recovery target, and count its rows."""

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

STATE = "The target is unchanged, and the restored cluster is removed."


@dataclass(frozen=True)
class ExpectedCluster:
    """The cluster that must be recovered, with a database that it must contain."""

    system_identifier: str
    database_oid: int


@dataclass(frozen=True)
class RecoveredCluster:
    """A recovered cluster; `counts` maps "schema.table" of the target's database to its number of rows."""

    recovered: RecoveryState
    databases: tuple[str, ...]
    counts: Mapping[str, int]
    recover_s: float


def recover_and_check(
    job: Job, copy: ScratchServer, target: RecoveryTarget, expected: ExpectedCluster
) -> RecoveredCluster:
    """Recover a restored cluster, count the rows of the target's database, and stop the server.

    Raises:
        OperationFailed: recovery didn't reach its target, or it is another cluster.
    """
    started = time.monotonic()
    with contextlib.ExitStack() as running:
        with job.step("Recover"):
            running.enter_context(copy.recovered())
            state, databases = _check_recovered(job, copy, target, expected)
            recover_s = time.monotonic() - started
        with job.step("Count the rows"):
            name = next(one.name for one in databases if one.oid == expected.database_oid)
            counts = _count(job, copy, name)
        with job.step("Stop and remove"):
            running.close()
    return RecoveredCluster(state, tuple(one.name for one in databases), counts, recover_s)


def _check_recovered(
    job: Job, copy: ScratchServer, target: RecoveryTarget, expected: ExpectedCluster
) -> tuple[RecoveryState, list[DatabaseEntry]]:
    with copy.connect() as session:
        state, databases = recovery.recovery_state(session), recovery.databases(session)
        found = server.identity(session).system_identifier
    if found not in {None, expected.system_identifier}:
        raise OperationFailed(f"The backup contains another cluster, {found}. {STATE}")
    too_late = target.time is not None and state.last_commit_at and state.last_commit_at > target.time
    if state.in_recovery or state.replayed_lsn is None or too_late:
        raise OperationFailed(
            f"Recovery did not end at {target}: it {'is still running' if state.in_recovery else 'ended'} "
            f"at {state.replayed_lsn}, with the last commit at {state.last_commit_at}. {STATE}"
        )
    if expected.database_oid not in {one.oid for one in databases}:
        names = ", ".join(one.name for one in databases)
        raise OperationFailed(
            f"The cluster was recovered, but it doesn't contain the target's database (OID "
            f"{expected.database_oid}), only: {names}. {STATE} If the database was created later, choose a "
            "later time."
        )
    last = f", last commit at {state.last_commit_at}" if state.last_commit_at else ""
    job.log(f"Recovered to {state.replayed_lsn} on timeline {state.timeline}{last}.")
    return state, databases


def _count(job: Job, copy: ScratchServer, database: str) -> dict[str, int]:
    """Count the rows of every table, which reads every page and fails on a damaged one."""
    stats = TableStats()
    with copy.connect(database) as session:
        tables = relations.tables(session)

        def look() -> None:
            job.raise_if_cancelled()
            job.advance(len(stats.tables), len(tables), unit="tables", phase="count")

        table_stats.collect(session, tables, stats, with_digests=False, before_each=look)
    return {table.key: stats.tables[table.oid] for table in tables}
