"""ANALYZE and VACUUM: progress, checks of the result, and skipping locked tables."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from deployctl.operations.framework.base import Cancelled, Operation, OperationFailed, Outcome
from deployctl.operations.framework.fakes import FakeJob, Progress
from deployctl.operations.kinds.analyze import Analyze
from deployctl.operations.kinds.vacuum import Vacuum
from tests.operations.projects import job_for, look_often, rows
from tests.waiting import until

Database = Callable[..., str]


def perform(kind: type[Operation], url: str, **params: Any) -> tuple[Outcome, FakeJob]:
    job = job_for(None, url, params=kind.parse_params(params))
    return kind().perform(job), job


@pytest.fixture
def url(make_database: Database) -> str:
    """Return a database with two tables; one has dead rows."""
    made = make_database()
    rows(made, 'CREATE TABLE "Plan" (id int); INSERT INTO "Plan" SELECT generate_series(1, 1000)')
    rows(made, "CREATE TABLE visits (id int); INSERT INTO visits SELECT generate_series(1, 5000)")
    rows(made, "DELETE FROM visits WHERE id % 2 = 0")
    # A session reports its counts when it ends, possibly after the next one has started.
    until(
        lambda: rows(made, "SELECT sum(n_tup_ins), sum(n_tup_del) FROM pg_stat_user_tables") == [(6000, 2500)]
    )
    return made


def test_every_table_is_analyzed_in_its_own_step(url: str) -> None:
    outcome, job = perform(Analyze, url)

    assert outcome.facts["tables"] == ["public.Plan", "public.visits"]
    assert job.steps == [("Analyze public.Plan", "succeeded"), ("Analyze public.visits", "succeeded")]
    assert rows(
        url, "SELECT relname, reltuples FROM pg_class WHERE relname IN ('Plan', 'visits') ORDER BY 1"
    ) == [
        ("Plan", 1000),
        ("visits", 2500),
    ]


def test_analyze_takes_partitioned_tables_and_vacuum_partitions(make_database: Database) -> None:
    url = make_database()
    rows(url, "CREATE TABLE logs (day int) PARTITION BY RANGE (day)")
    rows(url, "CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM (0) TO (9)")

    assert perform(Analyze, url)[0].facts["tables"] == ["public.logs"]
    assert perform(Vacuum, url)[0].facts["tables"] == ["public.logs_1"]


def test_vacuum_removes_dead_rows_and_reports_their_number(url: str) -> None:
    rows(url, "ANALYZE visits")
    outcome, _ = perform(Vacuum, url, table="visits")

    assert outcome.facts["tables"] == ["public.visits"]
    assert (outcome.facts["dead_rows_before"], outcome.facts["dead_rows_after"]) == (2500, 0)


def test_vacuum_never_rewrites_a_table(url: str) -> None:
    before = rows(url, "SELECT relfilenode FROM pg_class WHERE relname = 'visits'")
    perform(Vacuum, url, truncate=True)

    assert rows(url, "SELECT relfilenode FROM pg_class WHERE relname = 'visits'") == before


def test_vacuum_reports_what_prevents_removing_dead_rows(url: str) -> None:
    with psycopg.connect(url, application_name="forgotten report") as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT 1 FROM visits LIMIT 1")
        rows(url, "DELETE FROM visits WHERE id < 1000")
        outcome, job = perform(Vacuum, url, table="visits")

    assert outcome.facts["dead_rows_after"] != 0
    assert "forgotten report" in str(outcome.facts["kept_by"])
    assert "dead rows are left. The oldest snapshot is held by" in job.text


@pytest.mark.parametrize("kind", [Analyze, Vacuum])
def test_a_locked_table_is_skipped_and_the_lock_holder_named(
    url: str, kind: type[Operation], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployctl.operations.table_maintenance.LOCK_TIMEOUT_S", 2)
    look_often(monkeypatch)
    job = job_for(None, url, params=kind.parse_params({}))
    with psycopg.connect(url, application_name="forgotten editor") as holder:
        holder.execute('LOCK TABLE "Plan"')
        with pytest.raises(OperationFailed) as caught:
            kind().perform(job)

    assert "1 of 2 tables could not be " in str(caught.value)
    assert "public.Plan waited 2 s for a lock. Held by session" in str(caught.value)
    assert "forgotten editor" in str(caught.value)
    assert (f"{kind.kind.capitalize()} public.visits", "succeeded") in job.steps


def test_a_table_of_another_owner_is_named_with_the_grant(url: str, make_database: Database) -> None:
    other_role = urlsplit(make_database())._replace(path=urlsplit(url).path).geturl()
    rows(url, "CREATE SCHEMA theirs; CREATE TABLE theirs.notes ()")

    with pytest.raises(
        OperationFailed, match=r"Role owner_\w+ can't vacuum theirs\.notes, which owner_\w+ owns"
    ) as c:
        perform(Vacuum, other_role, table="theirs.notes")
    assert "GRANT " in str(c.value)


@pytest.mark.parametrize("name", ["plan", "public.nothing", 'Plan"; DROP TABLE visits; --'])
def test_an_unknown_table_is_refused(url: str, name: str) -> None:
    with pytest.raises(OperationFailed, match=r"Nothing was done: database \S+ has no table"):
        perform(Analyze, url, table=name)
    assert rows(url, "SELECT to_regclass('visits') IS NULL") == [(False,)]


def test_a_name_in_two_schemas_must_be_qualified(url: str) -> None:
    rows(url, "CREATE SCHEMA other; CREATE TABLE other.visits ()")

    with pytest.raises(OperationFailed, match=r"several tables visits.*other\.visits, public\.visits"):
        perform(Analyze, url, table="visits")
    assert perform(Analyze, url, table="other.visits")[0].facts["tables"] == ["other.visits"]


@pytest.mark.parametrize("kind", [Analyze, Vacuum])
def test_progress_is_reported_and_cancellation_ends_the_work(url: str, kind: type[Operation]) -> None:
    # The cost limits slow it down to ten blocks a second: it takes longer than a minute, so it cannot end
    # before it is cancelled, even on a busy machine.
    rows(url, "INSERT INTO visits SELECT generate_series(1, 200000)")
    slow = f"{url}?options=-c%20vacuum_cost_delay%3D100%20-c%20vacuum_cost_limit%3D1"
    job = job_for(None, slow, params=kind.parse_params({"table": "visits"}))

    def measured() -> list[Progress]:
        # The server reports the total only after a moment.
        return [progress for progress in job.progress if progress.total]

    def cancel_after_progress() -> None:
        try:
            until(lambda: len({p.done for p in measured()}) >= 2)
        finally:
            job.cancel()

    canceller = threading.Thread(target=cancel_after_progress)
    canceller.start()
    with pytest.raises(Cancelled):
        kind().perform(job)
    canceller.join()

    assert len({p.done for p in measured()}) >= 2
    assert all(p.unit == "blocks" and p.done <= (p.total or 0) for p in measured())
    assert all(p.unit == "blocks" for p in job.progress)
    assert "1 of 1: visits, " in job.progress[-1].phase
    assert rows(
        url,
        "SELECT count(*) FROM pg_stat_activity WHERE (query LIKE 'VACUUM%' OR query LIKE 'ANALYZE%')"
        " AND pid <> pg_backend_pid() AND state = 'active'",
    ) == [(0,)]
