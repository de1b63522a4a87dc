"""A baseline: what was measured, and honestly what could not be."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from deployctl.embedded.postgres import PostgresServer
from deployctl.operations.base import Cancelled
from deployctl.operations.kinds.baseline import Baseline
from tests.operations.projects import job_for, rows

Database = Callable[..., str]


def take(url: str, *, seconds: int = 1) -> Mapping[str, Any]:
    job = job_for(None, url, params=Baseline.parse_params({"seconds": seconds}))
    facts = Baseline().perform(job).facts
    assert json.loads(json.dumps(facts)) == facts
    return facts


@pytest.fixture
def url(make_database: Database) -> str:
    made = make_database()
    rows(made, 'CREATE TABLE "Plan" (id int PRIMARY KEY)')
    rows(made, 'INSERT INTO "Plan" SELECT generate_series(1, 2000)')
    return made


def test_sizes_connections_and_throughput_are_measured(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as busy:
        stop = threading.Event()

        def work() -> None:
            while not stop.is_set():
                busy.execute('SELECT count(*) FROM "Plan"')
                time.sleep(0.005)

        worker = threading.Thread(target=work)
        worker.start()
        try:
            # Sessions report what they did at most once a second.
            facts = take(url, seconds=3)
        finally:
            stop.set()
            worker.join()

    assert facts["throughput"]["seconds"] == pytest.approx(3, abs=1)
    assert facts["throughput"]["commits_per_s"] > 5
    assert 0.9 < facts["throughput"]["cache_hit"] <= 1
    assert facts["connections"]["server_most"] >= 2
    assert facts["sizes"]["database_bytes"] > 1_000_000
    (plan,) = facts["sizes"]["tables"]
    assert plan["name"] == "Plan"
    assert plan["total_bytes"] > plan["index_bytes"] > 0


def test_a_missing_extension_is_stated(url: str) -> None:
    facts = take(url)

    assert facts["statements"] is None
    assert "CREATE EXTENSION pg_stat_statements" in facts["statements_missing"]


def test_a_locked_table_leaves_its_size_unknown_and_the_rest_measured(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployctl.operations.kinds.baseline.LOCK_TIMEOUT_S", 1)
    with psycopg.connect(url) as holder:
        holder.execute('LOCK TABLE "Plan"')
        facts = take(url)

    assert facts["sizes"]["tables"] is None
    assert "stayed locked" in facts["sizes"]["tables_missing"]
    assert facts["sizes"]["database_bytes"] > 0


def test_cancelling_ends_the_watch(url: str) -> None:
    job = job_for(None, url, params=Baseline.parse_params({"seconds": 60}))
    threading.Timer(0.5, job.cancel).start()
    started = time.monotonic()

    with pytest.raises(Cancelled):
        Baseline().perform(job)
    assert time.monotonic() - started < 5
    assert job.progress[-1].total == 60


@pytest.fixture
def loaded() -> Iterator[PostgresServer]:
    """A server that loads pg_stat_statements."""
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


def test_the_costliest_statements_are_kept_without_secrets(loaded: PostgresServer) -> None:
    url = loaded.url()
    available = rows(url, "SELECT 1 FROM pg_available_extensions WHERE name = 'pg_stat_statements'")
    if not available:
        pytest.skip("this PostgreSQL comes without pg_stat_statements")
    rows(url, "CREATE EXTENSION pg_stat_statements")
    rows(url, "CREATE ROLE keeper PASSWORD 'not for the record'")
    rows(url, "SELECT pg_sleep(0.2)")
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            rows(url, "SELECT pg_sleep(0.1)")

    worker = threading.Thread(target=work)
    worker.start()
    try:
        facts = take(url, seconds=2)
    finally:
        stop.set()
        worker.join()

    first = _about(facts["statements"], "pg_sleep")
    assert first["query"] == "SELECT pg_sleep($1)"
    assert first["watched_calls"] >= 5
    assert first["watched_mean_ms"] == pytest.approx(100, rel=0.5)
    assert "not for the record" not in json.dumps(facts)


def _about(statements: Sequence[Mapping[str, Any]], word: str) -> Mapping[str, Any]:
    return next(statement for statement in statements if word in str(statement["query"]))
