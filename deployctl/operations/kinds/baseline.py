"""Measure throughput, cache hits, connections and sizes, as a baseline for later comparison."""

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
SAMPLE_EVERY_S = 0.5
TABLES = 50
STATEMENTS = 100


class Baseline(Operation):
    """Read the counters twice; rates are differences, not averages since the server's start."""

    kind: ClassVar[str] = "baseline"
    title: ClassVar[str] = "Take baseline"
    help: ClassVar[str] = (
        "Measures throughput, cache hits, connections and sizes, and the most expensive statements if "
        "pg_stat_statements is installed. Changes nothing."
    )
    changes_target: ClassVar[bool] = False
    exclusive: ClassVar[bool] = False
    time_limit_s: ClassVar[int] = 2 * 3600

    @dataclass(frozen=True)
    class Params:
        seconds: int = param(
            60,
            label="Duration in seconds",
            help="Duration of the measurement; a longer one gives steadier figures.",
            minimum=1,
            maximum=3600,
        )

    def perform(self, job: Job) -> Outcome:
        with (
            failure_on_error(job, "No baseline was taken"),
            job.connect(
                read_only=True, statement_timeout_s=STATEMENT_TIMEOUT_S, lock_timeout_s=LOCK_TIMEOUT_S
            ) as connection,
        ):
            with job.step("Read the counters"):
                before = _Counters.read(connection)
            with job.step(f"Measure for {job.params.seconds} s"):
                peak = _measure_connections(job, connection)
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


def _measure_connections(job: Job, connection: psycopg.Connection) -> dict[str, Json]:
    """Sample the connections for the run's duration, and return their peak."""
    started, seconds = time.monotonic(), job.params.seconds
    peak, peak_active, states = 0, 0, dict[str, int]()
    while True:
        states = statistics.sessions_by_state(connection)
        use = activity.connection_use(connection)
        peak = max(peak, use.used)
        peak_active = max(peak_active, states.get("active", 0))
        elapsed = time.monotonic() - started
        job.advance(min(int(elapsed), seconds), seconds, unit="seconds")
        if elapsed >= seconds:
            break
        job.raise_if_cancelled()
        time.sleep(min(SAMPLE_EVERY_S, seconds - elapsed))
    return {
        "server_most": peak,
        "server_available": use.available,
        "database_by_state": states,
        "database_most_active": peak_active,
    }


def _throughput(before: DatabaseCounters, after: DatabaseCounters) -> dict[str, Json]:
    """Return the rates per second between two readings; no rates if the counters were reset meanwhile."""
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
    """Return the share of blocks found in the cache; None if no block was requested."""
    return round(hit / (hit + read), 5) if hit + read else None


def _statements(job: Job, before: _Counters, after: _Counters) -> dict[str, Json]:
    """Return the most expensive statements since the last reset, with their cost during the measurement."""
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
    # As text, because JSON readers may round 64-bit numbers.
    facts: dict[str, Json] = {**asdict(now), "queryid": str(now.queryid), "total_ms": round(now.total_ms, 3)}
    calls = now.calls - before.calls if before is not None else -1
    if before is None or calls < 0:  # not in the first reading, or reset meanwhile
        return {**facts, "watched_calls": None, "watched_mean_ms": None}
    mean = round((now.total_ms - before.total_ms) / calls, 3) if calls else None
    return {**facts, "watched_calls": calls, "watched_mean_ms": mean}


def _sizes(job: Job, connection: psycopg.Connection) -> dict[str, Json]:
    sizes: dict[str, Json] = {"database_bytes": server.database_size(connection)}
    try:
        largest = statistics.table_sizes(connection, limit=TABLES)
    except errors.LockNotAvailable:
        missing = f"Table sizes are missing: a table stayed locked for {LOCK_TIMEOUT_S} s."
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
    cache = f"{hit:.1%} of blocks from the cache" if isinstance(hit, float) else "no blocks requested"
    if throughput["reset_meanwhile"]:
        return "No throughput: the counters were reset during the measurement. Take the baseline again."
    known = (
        pluralize(len(statements), "statement") if isinstance(statements, list) else "no pg_stat_statements"
    )
    return f"{throughput['commits_per_s']} commits/s, {cache}, {known}."
