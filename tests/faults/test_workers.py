"""Workers that die, are told to stop, or hear things twice."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable

import psycopg
import pytest

from deployctl.audit import Machine
from deployctl.errors import Refusal
from deployctl.runs import publishing
from deployctl.runs.execution import dispatcher, reaper
from deployctl.runs.models import Backup, Run, RunState, Target
from tests.faults.conftest import (
    effects,
    has_ended,
    has_said,
    let_lease_run_out,
    programs_of,
    sessions_of,
    until,
)

SYSTEM = Machine("test")
StartWorker = Callable[[], "subprocess.Popen[bytes]"]


def request(target: Target, kind: str, **params: object) -> Run:
    return Run.request(target=target, kind=kind, params=params, by=SYSTEM)


def test_a_killed_worker_leaves_nothing_running_and_an_honest_state(
    shop: Target, start_worker: StartWorker
) -> None:
    """[1]"""
    worker = start_worker()
    run = request(shop, "sleep")
    until(has_said(run, "asleep"))
    assert programs_of(run)

    worker.kill()
    until(lambda: not programs_of(run) and not sessions_of(run), seconds=2)

    run.refresh_from_db()
    assert run.state == RunState.RUNNING, "nobody knows yet"
    assert reaper.reap() == 0, "not before the lease has run out"
    let_lease_run_out(run)
    assert reaper.reap() == 1
    run.refresh_from_db()
    assert run.state == RunState.INTERRUPTED
    assert "was lost" in run.summary
    assert "nothing on it was changed" in run.summary
    request(shop, "sleep")


def test_a_killed_pool_process_is_the_same(shop: Target, start_worker: StartWorker) -> None:
    """[2]"""
    start_worker()
    run = request(shop, "sleep", where="session")
    until(has_said(run, "sleeping"))
    until(lambda: len(sessions_of(run)) == 2)
    run.refresh_from_db()
    assert run.worker_pid is not None

    os.kill(run.worker_pid, signal.SIGKILL)
    # A server from 14 on looks every second whether its client is still there.
    until(lambda: not sessions_of(run), seconds=3)

    let_lease_run_out(run)
    assert reaper.reap() == 1
    run.refresh_from_db()
    assert run.state == RunState.INTERRUPTED


def test_a_worker_killed_while_it_changes_leaves_the_decision_to_a_person(
    shop: Target, start_worker: StartWorker
) -> None:
    """[3]"""
    worker = start_worker()
    run = request(shop, "change", seconds=60)
    until(lambda: run.steps.count() == 2)
    worker.kill()
    let_lease_run_out(run)
    reaper.reap()

    run.refresh_from_db()
    assert run.state == RunState.UNKNOWN
    assert "Done on shop before: first row." in run.summary
    assert "Cut off in: second row." in run.summary
    start_worker()
    with pytest.raises(Refusal, match="decide on the run's page"):
        request(shop, "change")
    assert effects(shop) == 1, "it is not tried again"


def test_a_backup_cut_off_is_never_listed(shop: Target, start_worker: StartWorker) -> None:
    """[1]"""
    with psycopg.connect(shop.spec().conninfo(), autocommit=True) as session:
        session.execute(
            "CREATE TABLE big AS SELECT n, md5(n::text) AS word FROM generate_series(1, 1500000) n"
        )
    worker = start_worker()
    run = request(shop, "backup")
    folder = shop.backup_folder()
    until(lambda: any(path.stat().st_size for path in folder.root.glob("*.partial/**/*.dat*")))
    worker.kill()
    until(lambda: not programs_of(run) and not sessions_of(run), seconds=2)

    assert folder.list() == ()
    let_lease_run_out(run)
    reaper.reap()
    run.refresh_from_db()
    assert run.state == RunState.INTERRUPTED
    assert not Backup.objects.exists()
    assert list(folder.root.iterdir()) == []


def test_a_message_that_was_never_sent_is_sent_later_and_once(
    shop: Target, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[4]"""
    with monkeypatch.context() as died:
        died.setattr(publishing, "hint", lambda _run_id: False)
        run = request(shop, "change")
    start_worker()
    Run.objects.filter(pk=run.pk).update(requested_at="2026-01-01T00:00:00Z")

    assert dispatcher.dispatch() == 1
    until(has_ended(run))
    assert effects(shop) == 2


def test_a_flushed_broker_loses_no_run_and_doubles_none(
    shop: Target, start_worker: StartWorker, redis_url: str
) -> None:
    """[5]"""
    import redis

    change, *looks = [request(shop, "change"), *(request(shop, "look") for _ in range(5))]
    redis.Redis.from_url(redis_url).flushdb()
    long_ago = "2026-01-01T00:00:00Z"
    Run.objects.update(requested_at=long_ago, published_at=long_ago)
    assert dispatcher.dispatch() == 6

    start_worker()
    for run in (change, *looks):
        until(has_ended(run))
    assert set(Run.objects.values_list("state", flat=True)) == {RunState.SUCCEEDED}
    assert effects(shop) == 2


def test_one_message_twenty_times_is_executed_once(shop: Target, start_worker: StartWorker) -> None:
    """[8]"""
    run = request(shop, "change", seconds=1)
    assert all(publishing.hint(run.pk) for _ in range(20))
    start_worker()

    until(has_ended(run))
    last = request(shop, "look")
    until(has_ended(last))
    assert effects(shop) == 2
    assert run.steps.count() == 2


def test_cancelling_ends_everything_within_five_seconds(shop: Target, start_worker: StartWorker) -> None:
    """[13]"""
    start_worker()
    run = request(shop, "sleep")
    until(has_said(run, "asleep"))
    run.cancel(by=SYSTEM)

    until(has_ended(run), seconds=5)
    run.refresh_from_db()
    assert run.state == RunState.CANCELLED
    assert programs_of(run) == sessions_of(run) == []
    request(shop, "change")


def test_a_worker_told_to_stop_finishes_first(shop: Target, start_worker: StartWorker) -> None:
    """[14]"""
    worker = start_worker()
    run = request(shop, "sleep", seconds=3)
    until(has_said(run, "asleep"))
    worker.terminate()

    assert worker.wait(15) == 0
    run.refresh_from_db()
    assert run.state == RunState.SUCCEEDED


def test_a_worker_told_to_stop_at_once_marks_its_run(shop: Target, start_worker: StartWorker) -> None:
    """[14]"""
    worker = start_worker()
    run = request(shop, "change", seconds=60)
    until(lambda: run.steps.count() == 2)
    # As a service manager does that signals every process of the service.
    os.killpg(worker.pid, signal.SIGTERM)

    until(has_ended(run), seconds=10)
    worker.wait(15)
    run.refresh_from_db()
    assert run.state == RunState.UNKNOWN
    assert "its worker was told to end" in run.summary
