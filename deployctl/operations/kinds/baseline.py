"""Measure a database as it is now, to compare with later."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import ClassVar

import psycopg
from psycopg import errors

from deployctl.operations.framework.base import Job, Json, Operation, Outcome, param
from deployctl.operations.framework.postgres_errors import failure_on_error
from deployctl.postgres.queries import activity, server, statistics
from deployctl.postgres.queries.statistics import DatabaseCounters, Statement, StatementsUnavailable
from deployctl.text import pluralize

STATEMENT_TIMEOUT_S = 60
LOCK_TIMEOUT_S = 5
LOOK_EVERY_S = 0.5
TABLES = 50
STATEMENTS = 100


class Baseline(Operation):
    """Two looks some time apart: rates are differences, never averages over a server's life."""

    kind: ClassVar[str] = "baseline"
    title: ClassVar[str] = "Take a baseline"
    help: ClassVar[str] = (
        "Watches the database for a while and keeps what it saw: throughput, cache hits, connections, sizes, "
        "and the costliest statements where pg_stat_statements is there. Changes nothing."
    )
    changes_target: ClassVar[bool] = False
    exclusive: ClassVar[bool] = False
    time_limit_s: ClassVar[int] = 2 * 3600

    @dataclass(frozen=True)
    class Params:
        """How long it looks."""

        seconds: int = param(
            60,
            label="Seconds to watch",
            help="Over how long throughput is measured, in seconds; longer is steadier.",
            minimum=1,
            maximum=3600,
        )

    def perform(self, job: Job) -> Outcome:
        """Look, wait, look again."""
        with (
            failure_on_error(job, "No baseline was taken"),
            job.connect(
                read_only=True, statement_timeout_s=STATEMENT_TIMEOUT_S, lock_timeout_s=LOCK_TIMEOUT_S
            ) as connection,
        ):
            with job.step("Read the counters"):
                before = _Counters.read(connection)
            with job.step(f"Watch for {job.params.seconds} s"):
                peak = _watch(job, connection)
            with job.step("Read the counters again"):
                after = _Counters.read(connection)
            with job.step("Read sizes"):
                sizes = _sizes(job, connection)
            version = server.facts(connection).version
        facts: dict[str, Json] = {
            "server_version": version,
            "measured_at": after.work.measured_at.isoformat(),
            "throughput": _throughput(before.work, after.work),
            "counters": _as_json(after.work),
            "connections": peak,
            "sizes": sizes,
            **_statements(job, before, after),
        }
        return Outcome(summary=_summary(facts), facts=facts)


@dataclass(frozen=True)
class _Counters:
    work: DatabaseCounters
    statements: list[Statement] | StatementsUnavailable

    @classmethod
    def read(cls, connection: psycopg.Connection) -> _Counters:
        return cls(
            statistics.database_counters(connection), statistics.statements(connection, limit=STATEMENTS)
        )


def _watch(job: Job, connection: psycopg.Connection) -> dict[str, Json]:
    """Wait, and note how many connections there are at most."""
    begun, seconds = time.monotonic(), job.params.seconds
    most, most_active, states = 0, 0, dict[str, int]()
    while True:
        states = statistics.sessions_by_state(connection)
        use = activity.connection_use(connection)
        most = max(most, use.used)
        most_active = max(most_active, states.get("active", 0))
        passed = time.monotonic() - begun
        job.advance(min(int(passed), seconds), seconds, unit="seconds")
        if passed >= seconds:
            break
        job.raise_if_cancelled()
        time.sleep(min(LOOK_EVERY_S, seconds - passed))
    return {
        "server_most": most,
        "server_available": use.available,
        "database_by_state": states,
        "database_most_active": most_active,
    }


def _throughput(before: DatabaseCounters, after: DatabaseCounters) -> dict[str, Json]:
    """Per second, over the time between two looks; None where the counters were reset meanwhile."""
    seconds = (after.measured_at - before.measured_at).total_seconds()
    if before.reset_at != after.reset_at or after.commits < before.commits or seconds <= 0:
        return {"seconds": round(seconds, 3), "reset_meanwhile": True, "cache_hit": None}
    counted = ("commits", "rollbacks", "rows_returned", "rows_inserted", "rows_updated", "rows_deleted")
    rates = {
        f"{name}_per_s": round((getattr(after, name) - getattr(before, name)) / seconds, 3)
        for name in counted
    }
    return {
        "seconds": round(seconds, 3),
        "reset_meanwhile": False,
        "cache_hit": _share(after.blocks_hit - before.blocks_hit, after.blocks_read - before.blocks_read),
        "cache_hit_since_reset": _share(after.blocks_hit, after.blocks_read),
        **rates,
    }


def _share(hit: int, read: int) -> float | None:
    """What part of the blocks was in the cache; None where none was asked for."""
    return round(hit / (hit + read), 5) if hit + read else None


def _statements(job: Job, before: _Counters, after: _Counters) -> dict[str, Json]:
    """The costliest statements as counted so far, and what each cost while we watched."""
    if isinstance(after.statements, StatementsUnavailable):
        job.log(after.statements.reason, level="warning")
        return {"statements": None, "statements_missing": after.statements.reason}
    earlier: Mapping[tuple[int, str], Statement] = (
        {}
        if isinstance(before.statements, StatementsUnavailable)
        else {(statement.queryid, statement.role): statement for statement in before.statements}
    )
    return {
        "statements": [
            _statement(statement, earlier.get((statement.queryid, statement.role)))
            for statement in after.statements
        ],
        "statements_missing": None,
    }


def _statement(now: Statement, before: Statement | None) -> Json:
    # A number of 64 bits is more than a JSON reader must keep exactly.
    facts: dict[str, Json] = {**asdict(now), "queryid": str(now.queryid), "total_ms": round(now.total_ms, 3)}
    calls = now.calls - before.calls if before is not None else -1
    if before is None or calls < 0:  # not among the first then, or reset meanwhile
        return {**facts, "watched_calls": None, "watched_mean_ms": None}
    mean = round((now.total_ms - before.total_ms) / calls, 3) if calls else None
    return {**facts, "watched_calls": calls, "watched_mean_ms": mean}


def _sizes(job: Job, connection: psycopg.Connection) -> dict[str, Json]:
    sizes: dict[str, Json] = {"database_bytes": server.database_size(connection)}
    try:
        largest = statistics.table_sizes(connection, limit=TABLES)
    except errors.LockNotAvailable:
        missing = f"Sizes of tables were not read: one of them stayed locked for {LOCK_TIMEOUT_S} s."
        job.log(missing, level="warning")
        return {**sizes, "tables": None, "tables_missing": missing}
    return {**sizes, "tables": [asdict(table) for table in largest], "tables_missing": None}


def _as_json(work: DatabaseCounters) -> dict[str, Json]:
    counters: dict[str, Json] = asdict(work)
    return counters | {
        "measured_at": work.measured_at.isoformat(),
        "reset_at": work.reset_at.isoformat() if work.reset_at else None,
    }


def _summary(facts: Mapping[str, Json]) -> str:
    throughput, statements = facts["throughput"], facts["statements"]
    assert isinstance(throughput, Mapping)  # noqa: S101 - made by `_throughput`
    hit = throughput["cache_hit"]
    cache = f"{hit:.1%} of blocks from the cache" if isinstance(hit, float) else "no blocks asked for"
    if throughput["reset_meanwhile"]:
        return "The counters were reset while they were watched, so there is no throughput. Take it again."
    known = (
        pluralize(len(statements), "statement") if isinstance(statements, list) else "no pg_stat_statements"
    )
    return f"{throughput['commits_per_s']} commits/s, {cache}, {known}."
