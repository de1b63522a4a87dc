"""Baselines: the measured figures, and the reasons for missing ones."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from deployctl.embedded.postgres import PostgresServer
from deployctl.operations.framework.base import Cancelled
from deployctl.operations.framework.fakes import FakeJob
from deployctl.operations.kinds.baseline import Baseline
from deployctl.postgres.connection import parse_url
from tests.operations.projects import rows
from tests.waiting import until

Database = Callable[..., str]


class MeasuringJob(FakeJob):
    """A job that calls `meanwhile` once during the measurement."""

    meanwhile: Callable[[], None] | None = None

    def advance(self, done: int, total: int | None, *, unit: str, phase: str = "") -> None:
        super().advance(done, total, unit=unit, phase=phase)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()


def job_for(url: str, seconds: int, meanwhile: Callable[[], None] | None = None) -> MeasuringJob:
    job = MeasuringJob(parse_url(url), params=Baseline.parse_params({"seconds": seconds}))
    job.meanwhile = meanwhile
    return job


def take(url: str, meanwhile: Callable[[], None] | None = None) -> Mapping[str, Any]:
    """Take a baseline of a second, or of the duration of `meanwhile`, and return its facts."""
    facts = Baseline().perform(job_for(url, 1, meanwhile)).facts
    assert json.loads(json.dumps(facts)) == facts
    return facts


@pytest.fixture
def url(make_database: Database) -> str:
    made = make_database()
    rows(made, 'CREATE TABLE "Plan" (id int PRIMARY KEY)')
    rows(made, 'INSERT INTO "Plan" SELECT generate_series(1, 2000)')
    return made


def test_sizes_connections_and_throughput_are_measured(url: str) -> None:
    def work() -> None:
        with psycopg.connect(url, autocommit=True) as busy:
            for _ in range(200):
                busy.execute('SELECT count(*) FROM "Plan"')
        # A session reports its counts when it ends, possibly after the next one has started.
        until(lambda: rows(url, "SELECT seq_scan >= 200 FROM pg_stat_user_tables") == [(True,)])

    started = time.monotonic()
    with psycopg.connect(url):
        facts = take(url, meanwhile=work)
    duration = time.monotonic() - started

    seconds = facts["throughput"]["seconds"]
    assert 1 <= seconds <= round(duration, 3)
    assert facts["throughput"]["commits_per_s"] * seconds >= 199  # rounded
    assert 0.9 < facts["throughput"]["cache_hit"] <= 1
    assert facts["connections"]["server_most"] >= 2
    assert facts["sizes"]["database_bytes"] > 1_000_000
    (plan,) = facts["sizes"]["tables"]
    assert plan["name"] == "Plan"
    assert plan["total_bytes"] > plan["index_bytes"] > 0


def test_a_missing_extension_is_reported(url: str) -> None:
    facts = take(url)

    assert facts["statements"] is None
    assert "CREATE EXTENSION pg_stat_statements" in facts["statements_missing"]


def test_a_locked_table_leaves_only_the_table_sizes_unknown(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployctl.operations.kinds.baseline.LOCK_TIMEOUT_S", 1)
    with psycopg.connect(url) as holder:
        holder.execute('LOCK TABLE "Plan"')
        facts = take(url)

    assert facts["sizes"]["tables"] is None
    assert "stayed locked" in facts["sizes"]["tables_missing"]
    assert facts["sizes"]["database_bytes"] > 0


def test_cancellation_ends_the_measurement(url: str) -> None:
    job = job_for(url, 3600)
    job.meanwhile = job.cancel

    with pytest.raises(Cancelled):
        Baseline().perform(job)
    assert [progress.total for progress in job.progress] == [3600], "it measured again"


@pytest.fixture
def loaded() -> Iterator[PostgresServer]:
    """Run a server that loads pg_stat_statements."""
    folder = Path(tempfile.mkdtemp(prefix="deployctl-test-baseline-"))
    folder.chmod(0o755)
    server = PostgresServer(
        folder / "postgres", settings={"fsync": "off", "shared_preload_libraries": "pg_stat_statements"}
    )
    try:
        with server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_the_most_expensive_statements_are_recorded_without_secrets(loaded: PostgresServer) -> None:
    url = loaded.url()
    available = rows(url, "SELECT 1 FROM pg_available_extensions WHERE name = 'pg_stat_statements'")
    if not available:
        pytest.skip("this PostgreSQL comes without pg_stat_statements")
    rows(url, "CREATE EXTENSION pg_stat_statements")
    rows(url, "CREATE ROLE keeper PASSWORD 'not for the record'")
    rows(url, "SELECT pg_sleep(0.2)")
    durations: list[float] = []

    def work() -> None:
        started = time.monotonic()
        for _ in range(5):
            rows(url, "SELECT pg_sleep(0.05)")
        durations.append(time.monotonic() - started)

    facts = take(url, meanwhile=work)

    first = _statement_with(facts["statements"], "pg_sleep")
    assert first["query"] == "SELECT pg_sleep($1)"
    assert first["watched_calls"] == 5
    assert 50 <= first["watched_mean_ms"] <= 1000 * durations[0] / 5
    assert "not for the record" not in json.dumps(facts)


def _statement_with(statements: Sequence[Mapping[str, Any]], word: str) -> Mapping[str, Any]:
    return next(statement for statement in statements if word in str(statement["query"]))
