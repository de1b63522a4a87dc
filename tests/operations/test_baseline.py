"""A baseline: what was measured, and honestly what could not be."""

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


class Watched(FakeJob):
    """Something happens once, while the baseline watches."""

    meanwhile: Callable[[], None] | None = None

    def advance(self, done: int, total: int | None, *, unit: str, phase: str = "") -> None:
        super().advance(done, total, unit=unit, phase=phase)
        happens, self.meanwhile = self.meanwhile, None
        if happens is not None:
            happens()


def watching(url: str, seconds: int, meanwhile: Callable[[], None] | None = None) -> Watched:
    job = Watched(parse_url(url), params=Baseline.parse_params({"seconds": seconds}))
    job.meanwhile = meanwhile
    return job


def take(url: str, meanwhile: Callable[[], None] | None = None) -> Mapping[str, Any]:
    """Supervision for a second, or for as long as `meanwhile` takes."""
    facts = Baseline().perform(watching(url, 1, meanwhile)).facts
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
        # A session's counts arrive when it ends, which may be after the next one has begun.
        until(lambda: rows(url, "SELECT seq_scan >= 200 FROM pg_stat_user_tables") == [(True,)])

    began = time.monotonic()
    with psycopg.connect(url):
        facts = take(url, meanwhile=work)
    took = time.monotonic() - began

    seconds = facts["throughput"]["seconds"]
    assert 1 <= seconds <= round(took, 3)
    assert facts["throughput"]["commits_per_s"] * seconds >= 199  # rounded
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
    job = watching(url, 3600)
    job.meanwhile = job.cancel

    with pytest.raises(Cancelled):
        Baseline().perform(job)
    assert [progress.total for progress in job.progress] == [3600], "it looked again"


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
    took: list[float] = []

    def work() -> None:
        began = time.monotonic()
        for _ in range(5):
            rows(url, "SELECT pg_sleep(0.05)")
        took.append(time.monotonic() - began)

    facts = take(url, meanwhile=work)

    first = _about(facts["statements"], "pg_sleep")
    assert first["query"] == "SELECT pg_sleep($1)"
    assert first["watched_calls"] == 5
    assert 50 <= first["watched_mean_ms"] <= 1000 * took[0] / 5
    assert "not for the record" not in json.dumps(facts)


def _about(statements: Sequence[Mapping[str, Any]], word: str) -> Mapping[str, Any]:
    return next(statement for statement in statements if word in str(statement["query"]))
