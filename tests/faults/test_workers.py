"""Workers that die, are told to stop, or hear things twice."""

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
    changes_of,
    effects,
    has_ended,
    has_said,
    let_lease_run_out,
    programs_of,
    sessions_of,
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
    """A target whose backup takes a while."""
    with connect(shop.spec(), application_name="test") as session:
        make_large(session, "big")
    return shop


def is_dumping(target: Target) -> bool:
    """Whether rows are being written."""
    return any(path.stat().st_size for path in target.backup_folder().root.glob("*.partial/**/*.dat*"))


@pytest.mark.fault(1)
def test_a_killed_worker_leaves_nothing_running_and_an_honest_state(
    shop: Target, start_worker: StartWorker, seen: Seen
) -> None:
    worker = start_worker()
    run = request(shop, "sleep")
    until(has_said(run, "asleep"))
    assert programs_of(run)

    worker.kill()
    gone = until(lambda: not programs_of(run) and not sessions_of(run), seconds=2)

    run.refresh_from_db()
    assert run.state == RunState.RUNNING, "nobody knows yet"
    assert reaper.reap() == 0, "not before the lease has run out"
    let_lease_run_out(run)
    assert reaper.reap() == 1
    run.refresh_from_db()
    assert run.state == RunState.INTERRUPTED
    assert "was lost" in run.summary
    assert "so nothing was changed" in run.summary
    request(shop, "sleep")
    seen(f"of a program all gone after {gone:.2f} s")


@pytest.mark.fault(2)
def test_a_killed_pool_process_is_the_same(shop: Target, start_worker: StartWorker, seen: Seen) -> None:
    start_worker()
    run = request(shop, "sleep", where="session")
    until(has_said(run, "sleeping"))
    until(lambda: len(sessions_of(run)) == 2)
    run.refresh_from_db()
    assert run.worker_pid is not None

    os.kill(run.worker_pid, signal.SIGKILL)
    # A server from 14 on looks every second whether its client is still there.
    gone = until(lambda: not sessions_of(run), seconds=2)

    let_lease_run_out(run)
    assert reaper.reap() == 1
    run.refresh_from_db()
    assert run.state == RunState.INTERRUPTED
    assert "run.succeeded" not in changes_of(run)
    seen(f"of a long statement gone after {gone:.2f} s")


@pytest.mark.fault(1)
def test_a_backup_cut_off_is_never_listed(large: Target, start_worker: StartWorker, seen: Seen) -> None:
    worker = start_worker()
    run = request(large, "backup")
    until(lambda: is_dumping(large))

    worker.kill()
    gone = until(lambda: not programs_of(run) and not sessions_of(run), seconds=2)

    folder = large.backup_folder()
    assert folder.list() == ()
    (left,) = folder.root.iterdir()
    assert left.name.endswith(".partial")
    let_lease_run_out(run)
    reaper.reap()
    run.refresh_from_db()
    assert run.state == RunState.INTERRUPTED
    assert not Backup.objects.exists()
    assert list(folder.root.iterdir()) == []
    seen(f"of a backup all gone after {gone:.2f} s, only {left.suffix} left and then removed")


@pytest.mark.slow(20)
@pytest.mark.fault(2)
def test_a_backup_whose_pool_process_was_killed_is_no_backup_and_its_worker_goes_on(
    large: Target, start_worker: StartWorker, seen: Seen
) -> None:
    start_worker()
    run = request(large, "backup")
    until(lambda: is_dumping(large))
    run.refresh_from_db()
    assert run.worker_pid is not None

    os.kill(run.worker_pid, signal.SIGKILL)
    gone = until(lambda: not programs_of(run) and not sessions_of(run), seconds=2)

    assert large.backup_folder().list() == ()
    let_lease_run_out(run)
    assert reaper.reap() == 1
    run.refresh_from_db()
    assert run.state == RunState.INTERRUPTED
    assert "run.succeeded" not in changes_of(run)
    assert not Backup.objects.exists()
    with connect(large.spec(), application_name="test") as session:
        session.execute("TRUNCATE big")
    again = request(large, "backup")
    until(has_ended(again), seconds=60)
    again.refresh_from_db()
    assert again.state == RunState.SUCCEEDED
    seen(f"of a backup all gone after {gone:.2f} s, {run.state}, the same worker made the next one")


@pytest.mark.slow(80)
@pytest.mark.timeout(180)
@pytest.mark.fault(1)
def test_a_lost_backup_is_settled_within_lease_and_sweep(
    large: Target, installation: Installation, seen: Seen
) -> None:
    """Without helping time along."""
    worker = installation.worker()
    installation.upkeep()
    installation.beat()
    run = request(large, "backup")
    until(lambda: is_dumping(large))
    folder = large.backup_folder()

    worker.kill()
    gone = until(lambda: not programs_of(run) and not sessions_of(run), seconds=2)
    # 45 s of lease, renewed just now at the most, and a sweep every 15 s, which takes a moment itself.
    took = until(has_ended(run), seconds=45 + 15 + 5)

    run.refresh_from_db()
    assert run.state == RunState.INTERRUPTED
    assert list(folder.root.iterdir()) == []
    seen(f"by real time all gone after {gone:.2f} s, interrupted and .partial removed after {took:.0f} s")


@pytest.mark.fault(3)
def test_a_worker_killed_while_it_changes_leaves_the_decision_to_a_person(
    shop: Target, start_worker: StartWorker
) -> None:
    worker = start_worker()
    run = request(shop, "change", seconds=600)
    until(lambda: run.steps.count() == 2)
    worker.kill()
    let_lease_run_out(run)
    reaper.reap()

    run.refresh_from_db()
    assert run.state == RunState.UNKNOWN
    assert "Completed steps on shop: first row." in run.summary
    assert "Unfinished: second row." in run.summary
    start_worker()
    with pytest.raises(Refusal, match="record the outcome on the run's page"):
        request(shop, "change")
    assert effects(shop) == 1, "it is not tried again"


@pytest.mark.fault(13)
def test_cancelling_ends_everything_within_five_seconds(
    shop: Target, start_worker: StartWorker, signed_in: Callable[..., Client], seen: Seen
) -> None:
    start_worker()
    run = request(shop, "sleep")
    until(has_said(run, "asleep"))
    run.cancel(by=SYSTEM)

    gone = until(has_ended(run), seconds=5)
    run.refresh_from_db()
    assert run.state == RunState.CANCELLED
    assert programs_of(run) == sessions_of(run) == []
    page = signed_in(person("Vi Ewing", Permission.VIEWER)).get(f"/runs/{run.pk}/").text
    assert "only reads shop, so nothing was changed. Start it again." in page
    request(shop, "change")
    seen(f"all gone after {gone:.2f} s; the page says that nothing was changed")


@pytest.mark.fault(14)
def test_a_worker_told_to_stop_finishes_first(shop: Target, start_worker: StartWorker, seen: Seen) -> None:
    worker = start_worker()
    run = request(shop, "sleep", seconds=2)
    until(has_said(run, "asleep"))
    worker.terminate()

    assert worker.wait(60) == 0
    run.refresh_from_db()
    assert run.state == RunState.SUCCEEDED
    seen("told to finish: succeeded")


@pytest.mark.fault(14)
def test_a_worker_told_to_stop_at_once_marks_its_run(
    shop: Target, start_worker: StartWorker, seen: Seen
) -> None:
    worker = start_worker()
    run = request(shop, "change", seconds=600)
    until(lambda: run.steps.count() == 2)
    # As a service manager does that signals every process of the service.
    os.killpg(worker.pid, signal.SIGTERM)

    until(has_ended(run), seconds=10)
    worker.wait(60)
    run.refresh_from_db()
    assert run.state == RunState.UNKNOWN
    assert "its worker was shut down" in run.summary
    seen(f"told to stop at once: {run.state}, with the reason")
