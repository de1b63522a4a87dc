"""Execute runs in a worker: outcome, cleanup, and exactly one execution."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import pytest
from django.db import connections
from django.utils import timezone

from deployctl.accounts.roles import Permission
from deployctl.audit import Machine
from deployctl.errors import Refusal
from deployctl.postgres.connection import connect
from deployctl.postgres.queries import activity, advisory
from deployctl.runs import hooks
from deployctl.runs.execution import dispatcher, reaper, supervisor
from deployctl.runs.execution.masking import MASK
from deployctl.runs.models import LeaseLost, Run, RunState, StepState, Target
from tests.people import person
from tests.waiting import until

SYSTEM = Machine("test")
Executed = Callable[..., Run]


@contextmanager
def in_background(run: Run) -> Iterator[threading.Thread]:
    """Execute a run in a thread and wait for its end."""

    def work() -> None:
        try:
            supervisor.execute(run.pk)
        finally:
            connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield thread
    except BaseException:
        with suppress(Refusal):  # it has ended
            run.cancel(by=SYSTEM)
        raise
    finally:
        until(lambda: not thread.is_alive())
    run.refresh_from_db()


def has_logged(run: Run, text: str) -> Callable[[], bool]:
    return lambda: run.lines.filter(text__contains=text).exists()


def sessions_of(target: Target, run: Run) -> list[int]:
    with connect(target.spec(), application_name="test") as session:
        return activity.pids_named(session, run.application_name_prefix)


def effects(target: Target) -> int:
    with psycopg.connect(target.spec().conninfo()) as session:
        row = session.execute("SELECT count(*) FROM effects").fetchone()
    return row[0] if row else 0


def request(target: Target, kind: str, **params: Any) -> Run:
    return Run.request(target=target, kind=kind, params=params, by=SYSTEM)


@pytest.fixture(autouse=True)
def _without_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployctl.runs.queue.enqueue", lambda _run_id: True)


def test_a_run_succeeds_with_steps_facts_and_log(real_target: Target, executed: Executed) -> None:
    run = executed(real_target, "look")

    assert (run.state, run.summary) == (RunState.SUCCEEDED, "Looked.")
    assert run.facts == {"database": real_target.spec().dbname}
    assert run.finished_at is not None
    assert run.lease_until is None
    assert [(step.name, step.state) for step in run.steps.all()] == [("look", StepState.SUCCEEDED)]
    assert [(line.number, line.text) for line in run.lines.all()] == [(1, "looked")]


def test_a_failed_run_records_the_reason(real_target: Target, executed: Executed) -> None:
    run = executed(real_target, "break", how="failed")

    assert (run.state, run.summary) == (RunState.FAILED, "It broke. Fix it.")
    step = run.steps.get()
    assert (step.state, step.detail) == (StepState.FAILED, "It broke. Fix it.")
    assert run.lines.get(level="error").text == "It broke. Fix it."


def test_a_failed_statement_shows_the_message_of_postgresql(real_target: Target, executed: Executed) -> None:
    run = executed(real_target, "break", how="sql")

    assert run.state == RunState.FAILED
    assert 'PostgreSQL reported: relation "nowhere" does not exist.' in run.summary


def test_an_internal_error_is_reported_without_values(
    real_target: Target, executed: Executed, caplog: Any
) -> None:
    run = executed(real_target, "break", how="error")

    assert run.state == RunState.FAILED
    assert "deployctl had an internal error (ZeroDivisionError)" in run.summary
    assert "ZeroDivisionError" in caplog.text
    assert real_target.spec().password not in caplog.text


def test_a_terminated_worker_records_the_outcome_first(real_target: Target) -> None:
    run = request(real_target, "break", how="exit")
    with pytest.raises(SystemExit):
        supervisor.execute(run.pk)

    run.refresh_from_db()
    assert run.state == RunState.INTERRUPTED
    assert "so nothing was changed" in run.summary


@pytest.mark.fault(28)
def test_a_secret_is_stored_nowhere_in_plain_text(real_target: Target, executed: Executed) -> None:
    run = executed(real_target, "chatter", lines=50)

    assert run.state == RunState.SUCCEEDED
    texts = [run.summary, str(run.facts), *run.steps.values_list("name", flat=True)]
    texts += run.lines.values_list("text", flat=True)
    assert len(texts) > 50
    assert not any(real_target.spec().password in text for text in texts)
    assert run.summary == f"Said {MASK}."
    assert f"0 <script>  {MASK}" in texts


def test_an_unreachable_target_fails_the_run(
    committed_db: Any, kinds: None, secret_file: Callable[[str], str], executed: Executed
) -> None:
    target = Target.add(
        name="gone",
        environment="staging",
        connection_reference=secret_file("postgresql://nobody:secret@127.0.0.1:1/nothing"),
        by=SYSTEM,
    )
    run = executed(target, "sleep")

    assert run.state == RunState.FAILED
    assert "127.0.0.1" in run.summary


def test_twenty_duplicate_messages_execute_a_run_once(real_target: Target) -> None:
    run = request(real_target, "change")

    def deliver(_: int) -> None:
        try:
            supervisor.execute(run.pk)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(deliver, range(20)))

    run.refresh_from_db()
    assert run.state == RunState.SUCCEEDED
    assert effects(real_target) == 2


@pytest.mark.parametrize("where", ["program", "session"])
def test_cancelling_ends_programs_and_sessions_within_five_seconds(real_target: Target, where: str) -> None:
    dba = person("Dana Baker", Permission.OPERATOR)
    run = request(real_target, "sleep", where=where)
    with in_background(run) as worker:
        until(has_logged(run, "sleeping" if where == "session" else "asleep"))
        run.cancel(by=dba)
        until(lambda: not worker.is_alive(), seconds=5)

    assert run.state == RunState.CANCELLED
    assert run.summary.startswith("Cancelled by Dana Baker.")
    assert "so nothing was changed" in run.summary
    assert run.steps.get().state == StepState.CANCELLED
    assert sessions_of(real_target, run) == []


def test_cancelling_a_change_reports_the_completed_steps(real_target: Target) -> None:
    run = request(real_target, "change", seconds=600)
    with in_background(run):
        until(lambda: run.steps.count() == 2)
        run.cancel(by=SYSTEM)

    assert run.state == RunState.CANCELLED
    assert "Completed steps on shop: first row." in run.summary
    assert "Unfinished: second row." in run.summary
    assert effects(real_target) == 1


def test_a_worker_that_lost_its_lease_records_nothing(real_target: Target) -> None:
    run = request(real_target, "sleep")
    with in_background(run):
        until(has_logged(run, "asleep"))
        Run.objects.filter(pk=run.pk).update(lease_until=timezone.now() - dt.timedelta(seconds=1))
        assert reaper.reap() == 1

    assert run.state == RunState.INTERRUPTED
    assert "was lost" in run.summary
    assert sessions_of(real_target, run) == []
    assert run.steps.get().state == StepState.INTERRUPTED


def test_late_writes_of_a_fenced_worker_match_no_row(real_target: Target) -> None:
    run = request(real_target, "change")
    run.claim(host="elsewhere", pid=1)
    stale = Run.objects.get(pk=run.pk)
    Run.objects.filter(pk=run.pk).update(lease_until=timezone.now() - dt.timedelta(seconds=1))
    assert reaper.reap() == 1

    for write in (stale.renew, lambda: stale.succeed("Done.", {}), stale.is_cancel_requested):
        with pytest.raises(LeaseLost):
            write()
    stale.refresh_from_db()
    assert stale.state == RunState.UNKNOWN


def test_a_run_with_a_renewed_lease_is_not_reaped(real_target: Target) -> None:
    run = request(real_target, "change")
    run.claim(host="elsewhere", pid=1)

    assert reaper.reap() == 0


def test_two_reapers_clean_up_a_run_once(real_target: Target) -> None:
    run = request(real_target, "change")
    run.claim(host="elsewhere", pid=1)
    Run.objects.filter(pk=run.pk).update(lease_until=timezone.now() - dt.timedelta(seconds=1))
    first, second = Run.objects.get(pk=run.pk), Run.objects.get(pk=run.pk)

    assert (first.take_over(), second.take_over()) == (True, False)


def test_a_database_locked_by_another_installation_is_refused(
    real_target: Target, executed: Executed
) -> None:
    spec = real_target.spec()
    with connect(spec.with_database("postgres"), application_name="deployctl:99:1") as other:
        assert advisory.try_lock(other, spec.dbname)
        run = executed(real_target, "change")

    assert run.state == RunState.FAILED
    assert "Another deployctl installation is working on" in run.summary
    assert "deployctl:99:1" in run.summary


def test_permissions_are_checked_again_when_a_run_is_claimed(real_target: Target) -> None:
    dba = person("Dana Baker", Permission.OPERATOR)
    run = Run.request(target=real_target, kind="look", params={}, by=dba)
    dba.grants.all().delete()
    supervisor.execute(run.pk)

    run.refresh_from_db()
    assert run.state == RunState.FAILED
    assert "Dana Baker is no longer an operator" in run.summary


def test_a_handler_may_refuse_a_claimed_run(real_target: Target, executed: Executed) -> None:
    def refuse(_run: Run) -> None:
        raise Refusal("The deployment was halted meanwhile.")

    with hooks.run_claimed.connected(refuse):
        assert executed(real_target, "look").summary == "The deployment was halted meanwhile."


def test_a_failing_handler_does_not_prevent_the_end_of_a_run(
    real_target: Target, executed: Executed, caplog: pytest.LogCaptureFixture
) -> None:
    states: list[str] = []

    def fail(run: Run) -> None:
        Run.objects.filter(pk=run.pk).update(summary="Overwritten.")
        raise ZeroDivisionError

    def record(run: Run) -> None:
        states.append(run.state)

    with hooks.run_finished.connected(fail), hooks.run_finished.connected(record):
        run = executed(real_target, "look")

    assert (run.state, states) == (RunState.SUCCEEDED, [RunState.SUCCEEDED])
    assert run.summary != "Overwritten."
    assert "of run_finished failed" in caplog.text


def test_a_queued_run_with_a_lost_message_is_dispatched_again(
    real_target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueued: list[int] = []

    def enqueue(run_id: int) -> bool:
        enqueued.append(run_id)
        return True

    monkeypatch.setattr("deployctl.runs.queue.enqueue", enqueue)
    old, new = request(real_target, "look"), request(real_target, "look")
    before = timezone.now() - dt.timedelta(seconds=11)
    Run.objects.filter(pk=old.pk).update(requested_at=before, published_at=before)
    # Counts as just published for longer than this test takes on a busy machine.
    Run.objects.filter(pk=new.pk).update(published_at=timezone.now() + dt.timedelta(minutes=5))
    enqueued.clear()

    assert dispatcher.dispatch() == 1
    assert enqueued == [old.pk]
    assert dispatcher.dispatch() == 0, "it was sent just now"
    assert new.state == RunState.QUEUED


def test_a_run_whose_message_was_not_sent_is_dispatched_sooner(
    real_target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Much longer than this test takes on a busy machine.
    monkeypatch.setattr("deployctl.runs.models.run_states.REPEAT_AFTER", dt.timedelta(minutes=10))
    unpublished, published, new = (request(real_target, "look") for _ in range(3))
    asked = timezone.now() - dt.timedelta(seconds=5)
    Run.objects.filter(pk__in=[unpublished.pk, published.pk]).update(requested_at=asked, published_at=asked)
    Run.objects.filter(pk=new.pk).update(requested_at=timezone.now() + dt.timedelta(minutes=5))
    Run.objects.filter(pk__in=[unpublished.pk, new.pk]).update(published_at=None)

    assert [run.pk for run in Run.objects.undelivered()] == [unpublished.pk]


@pytest.mark.fault(28)
def test_a_flood_of_lines_is_stored_as_head_and_tail(
    real_target: Target, executed: Executed, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, size in {
        "HEAD_BYTES": 20_000,
        "TAIL_BYTES": 20_000,
        "TRIM_BYTES": 5_000,
        "PENDING_BYTES": 4_000,
    }.items():
        monkeypatch.setattr(f"deployctl.runs.execution.log.{name}", size)
    run = executed(real_target, "chatter", lines=8_000)

    numbers = list(run.lines.values_list("number", flat=True))
    assert (numbers[0], numbers[-1]) == (1, 8_000)
    assert run.log_lines_dropped == 8_000 - len(numbers) > 4_000
    assert run.log_bytes > 100_000
