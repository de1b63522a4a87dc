"""Tests for the progress of a restore: restored rows, then index builds."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from deployctl.operations.framework.fakes import FakeJob, Progress
from deployctl.operations.restore import pg_restore
from deployctl.operations.restore.pg_restore import RestoreProgress
from deployctl.postgres.connection import ConnectionSpec, connect, parse_url
from deployctl.runs.execution.progress import Progress as Measured
from tests.waiting import until


@pytest.fixture(autouse=True)
def no_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pg_restore, "PROGRESS_EVERY_S", 0.0)


@pytest.fixture
def shop(make_database: Callable[..., str]) -> ConnectionSpec:
    spec = parse_url(make_database())
    with connect(spec, application_name="test") as session:
        session.execute("CREATE TABLE plan (n int); CREATE TABLE other (n int)")
    return spec


def watch(shop: ConnectionSpec, tmp_path: Path, rows: int | None) -> tuple[FakeJob, RestoreProgress]:
    job = FakeJob(shop, tmp_path=tmp_path)
    return job, RestoreProgress(job, job.connect(read_only=True), rows=rows)


def report_until(job: FakeJob, progress: RestoreProgress, condition: Callable[[Progress], bool]) -> Progress:
    """Report until the progress meets a condition, and return it."""

    def is_met() -> bool:
        progress.report()
        return bool(job.progress) and condition(job.progress[-1])

    until(is_met)
    return job.progress[-1]


def test_rows_are_counted_during_and_after_the_load_of_a_table(shop: ConnectionSpec, tmp_path: Path) -> None:
    job, progress = watch(shop, tmp_path, 30_000)
    with connect(shop, application_name=job.application_name) as filling:
        if filling.info.server_version >= 140000:
            with filling.cursor().copy("COPY plan FROM STDIN") as copy:
                copy.write("1\n" * 10_000)
                # The server reads in blocks, so the last rows may still be in its buffer.
                half = report_until(job, progress, lambda reported: reported.done >= 5_000)
                assert (half.unit, half.total, half.phase) == ("rows", 30_000, "restore")
                assert half.done <= 10_000
                copy.write("1\n" * 10_000)
        filling.execute("INSERT INTO other SELECT generate_series(1, 10000)")
    report_until(job, progress, lambda reported: reported.done == 30_000)
    progress.finish()

    assert [reported.done for reported in job.progress] == sorted(reported.done for reported in job.progress)


def test_progress_without_counts_has_no_total(shop: ConnectionSpec, tmp_path: Path) -> None:
    job, progress = watch(shop, tmp_path, None)
    with connect(shop, application_name=job.application_name) as filling:
        filling.execute("INSERT INTO plan SELECT generate_series(1, 500)")
    assert report_until(job, progress, lambda reported: reported.done == 500).total is None
    progress.finish()
    assert {reported.total for reported in job.progress} == {None}


def test_an_index_build_is_reported_with_its_phase(shop: ConnectionSpec, tmp_path: Path) -> None:
    with connect(shop, application_name="test") as session:
        session.execute(
            """
            INSERT INTO plan VALUES (1);
            CREATE FUNCTION slow(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
                $$BEGIN PERFORM pg_sleep(600); RETURN n; END$$
            """
        )
    job, progress = watch(shop, tmp_path, 1000)
    building = job.connect()

    def build() -> None:
        with contextlib.suppress(psycopg.Error):
            building.execute("CREATE INDEX ON plan (slow(n))")

    thread = threading.Thread(target=build)
    thread.start()
    try:
        # The first phase is “initializing”.
        reported = report_until(
            job, progress, lambda reported: reported.phase.startswith("index on plan: building index")
        )
    finally:
        building.cancel_safe()
        thread.join()
    assert reported.unit in {"blocks", "rows"}


def test_a_lost_session_ends_the_progress_but_not_the_restore(shop: ConnectionSpec, tmp_path: Path) -> None:
    job, progress = watch(shop, tmp_path, 5)
    job.close()
    progress.report()
    progress.report()
    assert job.progress == []
    assert job.text.count("The server stopped reporting progress") == 1


def test_rate_and_remaining_time_are_measured_from_progress() -> None:
    measured = Measured()
    for second in range(5):
        columns = measured.report(second * 1000, 30_000, unit="rows", phase="restore", now=float(second))
    assert columns is not None
    assert columns["progress_rate"] == 1000
