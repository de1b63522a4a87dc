"""Test workers that are killed or receive SIGTERM, and cancellation."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest
from django.test import Client

from deployctl.accounts.roles import Permission
from deployctl.audit import Machine
from deployctl.errors import Refusal
from deployctl.postgres.connection import connect
from deployctl.runs.execution import reaper
from deployctl.runs.models import Backup, Run, RunState, Target
from tests.faults.conftest import (
    audit_actions,
    effect_count,
    expire_lease,
    has_ended,
    has_logged,
    process_pids,
    session_pids,
)
from tests.faults.installation import Installation, Process
from tests.large import make_large
from tests.people import person
from tests.waiting import until

SYSTEM = Machine("test")
StartWorker = Callable[[], Process]
Seen = Callable[[str], None]


def request(target: Target, kind: str, **params: object) -> Run:
    return Run.request(target=target, kind=kind, params=params, by=SYSTEM, typed_name=target.name)


@pytest.fixture
def large(shop: Target) -> Target:
    """A target with a large table, whose backup takes long."""
    with connect(shop.spec(), application_name="test") as session:
        make_large(session, "big")
    return shop


def is_dumping(target: Target) -> bool:
    """Return True if a backup has begun to write rows."""
    return any(path.stat().st_size for path in target.backup_folder().root.glob("*.partial/**/*.dat*"))


@pytest.mark.fault(1)
def test_a_killed_worker_leaves_no_processes_and_an_interrupted_run(
    shop: Target, start_worker: StartWorker, seen: Seen
) -> None:
    worker = start_worker()
    run = request(shop, "sleep")
    until(has_logged(run, "asleep"))
    assert process_pids(run)

    worker.kill()
    gone = until(lambda: not process_pids(run) and not session_pids(run), seconds=2)

    run.refresh_from_db()
    assert run.state == RunState.RUNNING, "the loss is not detected yet"
    assert reaper.reap() == 0, "the lease has not expired yet"
    expire_lease(run)
    assert reaper.reap() == 1
    run.refresh_from_db()
    assert run.state == RunState.INTERRUPTED
    assert "was lost" in run.summary
    assert "so nothing was changed" in run.summary
    request(shop, "sleep")
    seen(f"a program and its sessions ended after {gone:.2f} s")


@pytest.mark.fault(2)
def test_a_killed_pool_process_leaves_no_sessions_and_an_interrupted_run(
    shop: Target, start_worker: StartWorker, seen: Seen
) -> None:
    start_worker()
    run = request(shop, "sleep", where="session")
    until(has_logged(run, "sleeping"))
    until(lambda: len(session_pids(run)) == 2)
    run.refresh_from_db()
    assert run.worker_pid is not None

    os.kill(run.worker_pid, signal.SIGKILL)
    # PostgreSQL 14 and later check every second whether the client is still connected.
    gone = until(lambda: not session_pids(run), seconds=2)

    expire_lease(run)
    assert reaper.reap() == 1
    run.refresh_from_db()
    assert run.state == RunState.INTERRUPTED
    assert "run.succeeded" not in audit_actions(run)
    seen(f"the sessions of a long statement ended after {gone:.2f} s")


@pytest.mark.fault(1)
def test_an_interrupted_backup_is_never_listed(large: Target, start_worker: StartWorker, seen: Seen) -> None:
    worker = start_worker()
    run = request(large, "backup")
    until(lambda: is_dumping(large))

    worker.kill()
    gone = until(lambda: not process_pids(run) and not session_pids(run), seconds=2)

    folder = large.backup_folder()
    assert folder.list() == ()
    (leftover,) = folder.root.iterdir()
    assert leftover.name.endswith(".partial")
    expire_lease(run)
    reaper.reap()
    run.refresh_from_db()
    assert run.state == RunState.INTERRUPTED
    assert not Backup.objects.exists()
    assert list(folder.root.iterdir()) == []
    seen(f"a backup ended after {gone:.2f} s; only {leftover.suffix} remained and was deleted later")


@pytest.mark.slow(20)
@pytest.mark.fault(2)
def test_the_worker_continues_after_its_pool_process_is_killed(
    large: Target, start_worker: StartWorker, seen: Seen
) -> None:
    start_worker()
    run = request(large, "backup")
    until(lambda: is_dumping(large))
    run.refresh_from_db()
    assert run.worker_pid is not None

    os.kill(run.worker_pid, signal.SIGKILL)
    gone = until(lambda: not process_pids(run) and not session_pids(run), seconds=2)

    assert large.backup_folder().list() == ()
    expire_lease(run)
    assert reaper.reap() == 1
    run.refresh_from_db()
    assert run.state == RunState.INTERRUPTED
    assert "run.succeeded" not in audit_actions(run)
    assert not Backup.objects.exists()
    with connect(large.spec(), application_name="test") as session:
        session.execute("TRUNCATE big")
    again = request(large, "backup")
    until(has_ended(again), seconds=60)
    again.refresh_from_db()
    assert again.state == RunState.SUCCEEDED
    seen(f"a backup ended after {gone:.2f} s: {run.state}; the same worker made the next one")


@pytest.mark.slow(80)
@pytest.mark.timeout(180)
@pytest.mark.fault(1)
def test_a_lost_backup_is_interrupted_within_lease_and_sweep(
    large: Target, installation: Installation, seen: Seen
) -> None:
    """Unlike the other tests, wait until the lease really expires."""
    worker = installation.worker()
    installation.maintenance_worker()
    installation.beat()
    run = request(large, "backup")
    until(lambda: is_dumping(large))
    folder = large.backup_folder()

    worker.kill()
    gone = until(lambda: not process_pids(run) and not session_pids(run), seconds=2)
    # A lease of 45 s that may just have been renewed, a sweep every 15 s, and a moment for the sweep itself.
    took = until(has_ended(run), seconds=45 + 15 + 5)

    run.refresh_from_db()
    assert run.state == RunState.INTERRUPTED
    assert list(folder.root.iterdir()) == []
    seen(f"without shortcuts ended after {gone:.2f} s, interrupted and .partial deleted after {took:.0f} s")


@pytest.mark.fault(3)
def test_a_worker_killed_while_changing_the_target_requires_a_decision(
    shop: Target, start_worker: StartWorker
) -> None:
    worker = start_worker()
    run = request(shop, "change", seconds=600)
    until(lambda: run.steps.count() == 2)
    worker.kill()
    expire_lease(run)
    reaper.reap()

    run.refresh_from_db()
    assert run.state == RunState.UNKNOWN
    assert "Completed steps on shop: first row." in run.summary
    assert "Unfinished: second row." in run.summary
    start_worker()
    with pytest.raises(Refusal, match="record the outcome on the run's page"):
        request(shop, "change")
    assert effect_count(shop) == 1, "the run was retried"


@pytest.mark.fault(13)
def test_cancelling_ends_everything_within_five_seconds(
    shop: Target, start_worker: StartWorker, signed_in: Callable[..., Client], seen: Seen
) -> None:
    start_worker()
    run = request(shop, "sleep")
    until(has_logged(run, "asleep"))
    run.cancel(by=SYSTEM)

    gone = until(has_ended(run), seconds=5)
    run.refresh_from_db()
    assert run.state == RunState.CANCELLED
    assert process_pids(run) == session_pids(run) == []
    page = signed_in(person("Vi Ewing", Permission.VIEWER)).get(f"/runs/{run.pk}/").text
    assert "only reads shop, so nothing was changed. Start it again." in page
    request(shop, "change")
    seen(f"ended after {gone:.2f} s; the page says that nothing was changed")


@pytest.mark.fault(14)
def test_a_worker_finishes_its_run_on_sigterm(shop: Target, start_worker: StartWorker, seen: Seen) -> None:
    worker = start_worker()
    run = request(shop, "sleep", seconds=2)
    until(has_logged(run, "asleep"))
    worker.terminate()

    assert worker.wait(60) == 0
    run.refresh_from_db()
    assert run.state == RunState.SUCCEEDED
    seen("the worker got SIGTERM: succeeded")


@pytest.mark.fault(14)
def test_a_run_is_marked_unknown_when_all_its_processes_get_sigterm(
    shop: Target, start_worker: StartWorker, seen: Seen
) -> None:
    worker = start_worker()
    run = request(shop, "change", seconds=600)
    until(lambda: run.steps.count() == 2)
    # Some service managers signal every process of the service.
    os.killpg(worker.pid, signal.SIGTERM)

    until(has_ended(run), seconds=10)
    worker.wait(60)
    run.refresh_from_db()
    assert run.state == RunState.UNKNOWN
    assert "its worker was shut down" in run.summary
    seen(f"all its processes got SIGTERM: {run.state}, with the reason")
