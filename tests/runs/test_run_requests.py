"""Request runs: permissions, refusals and their messages."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections

from deployctl.accounts.models import User
from deployctl.audit import Action, Machine
from deployctl.audit.models import Entry
from deployctl.celery import app
from deployctl.errors import InvalidInput, NotAllowed, Refusal
from deployctl.operations.framework.registry import OPERATIONS
from deployctl.runs import preconditions
from deployctl.runs.models import Run, RunState, Target

SYSTEM = Machine("test")


def test_a_request_is_a_queued_row_and_an_audit_entry(target: Target, dba: User) -> None:
    run = Run.request(target=target, kind="sleep", params={"seconds": "5"}, by=dba)

    assert (run.state, run.requested_by, run.requested_by_name) == (RunState.QUEUED, dba, dba.name)
    entry = Entry.objects.get(action=Action.RUN_REQUESTED)
    assert (entry.actor, entry.subject_id) == (dba, str(run.pk))


def test_the_task_is_sent_on_commit(
    target: Target, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Callable[..., Any]
) -> None:
    enqueued: list[int] = []

    def enqueue(run_id: int) -> bool:
        enqueued.append(run_id)
        return True

    monkeypatch.setattr("deployctl.runs.queue.enqueue", enqueue)

    with django_capture_on_commit_callbacks(execute=True):
        run = Run.request(target=target, kind="look", params={}, by=SYSTEM)
        assert enqueued == []

    run.refresh_from_db()
    assert enqueued == [run.pk]
    assert run.published_at is not None


def test_a_request_is_accepted_without_a_broker(
    target: Target, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Callable[..., Any]
) -> None:
    monkeypatch.setitem(app.conf, "broker_url", "redis://127.0.0.1:1/0")
    with django_capture_on_commit_callbacks(execute=True):
        run = Run.request(target=target, kind="look", params={}, by=SYSTEM)

    run.refresh_from_db()
    assert (run.state, run.published_at) == (RunState.QUEUED, None)


def test_a_second_request_reports_who_runs_what(target: Target, dba: User, devops_lead: User) -> None:
    first = Run.request(target=target, kind="sleep", params={}, by=dba)

    with pytest.raises(Refusal) as refused:
        Run.request(target=target, kind="change", params={}, by=devops_lead)

    assert "“Change” wasn't started" in str(refused.value)
    assert f"{dba.name} started “Sleep” on shop (run {first.pk}), and its state is “Queued”" in str(
        refused.value
    )


def test_read_only_operations_do_not_block_each_other(target: Target) -> None:
    Run.request(target=target, kind="sleep", params={}, by=SYSTEM)
    Run.request(target=target, kind="look", params={}, by=SYSTEM)
    Run.request(target=target, kind="look", params={}, by=SYSTEM)

    assert Run.objects.count() == 3


def test_an_unknown_run_blocks_its_target_until_it_is_decided(target: Target, dba: User) -> None:
    run = Run.request(target=target, kind="change", params={}, by=SYSTEM)
    run.claim(host="elsewhere", pid=1)
    run.mark_lost("Its worker was lost.")
    assert run.state == RunState.UNKNOWN

    with pytest.raises(Refusal, match="record the outcome on the run's page"):
        Run.request(target=target, kind="change", params={}, by=SYSTEM)
    run.decide(by=dba, outcome="failed", note="The table effects is not there.")

    assert (run.state, run.decision.by_name) == (RunState.FAILED, dba.name)
    Run.request(target=target, kind="change", params={}, by=SYSTEM)


def test_a_decision_needs_a_note_and_is_final(target: Target, dba: User) -> None:
    run = Run.request(target=target, kind="change", params={}, by=SYSTEM)
    run.claim(host="elsewhere", pid=1)
    run.mark_lost("Its worker was lost.")

    with pytest.raises(InvalidInput, match="what you found"):
        run.decide(by=dba, outcome="failed", note=" ")
    with pytest.raises(InvalidInput):
        run.decide(by=dba, outcome="queued", note="x")
    run.decide(by=dba, outcome="succeeded", note="Both rows are there.")
    with pytest.raises(Refusal):
        run.decide(by=dba, outcome="failed", note="No, they are not.")


def test_changes_to_production_need_a_deployment(
    db: Any, kinds: None, add_target: Callable[..., Target], dba: User
) -> None:
    production = add_target("live", "production")

    with pytest.raises(Refusal, match="which is in production"):
        Run.request(target=production, kind="change", params={}, by=dba)

    Run.request(target=production, kind="sleep", params={}, by=dba).cancel(by=dba)
    run = Run.request(target=production, kind="change", params={}, by=dba, authority="deployment:7")
    assert run.deployment_id == 7


def test_viewers_and_approvers_cannot_start_cancel_or_decide(target: Target, cto: User, viewer: User) -> None:
    run = Run.request(target=target, kind="change", params={}, by=SYSTEM)

    for person in (cto, viewer):
        with pytest.raises(NotAllowed):
            Run.request(target=target, kind="look", params={}, by=person)
        with pytest.raises(NotAllowed):
            run.cancel(by=person)
        with pytest.raises(NotAllowed):
            run.decide(by=person, outcome="failed", note="x")


def test_only_active_users_can_view_runs(target: Target, viewer: User) -> None:
    from django.contrib.auth.models import AnonymousUser

    Run.request(target=target, kind="look", params={}, by=SYSTEM)

    assert Run.objects.visible_to(viewer).count() == Target.objects.visible_to(viewer).count() == 1
    assert not Run.objects.visible_to(AnonymousUser()).exists()
    viewer.is_active = False
    assert not Target.objects.visible_to(viewer).exists()


@pytest.mark.parametrize(
    ("kind", "params"), [("nothing", {}), ("sleep", {"seconds": "soon"}), ("sleep", {"minutes": "1"})]
)
def test_invalid_requests_are_refused(target: Target, kind: str, params: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        Run.request(target=target, kind=kind, params=params, by=SYSTEM)
    assert not Run.objects.exists()


def test_a_queued_run_is_cancelled_at_once(target: Target, dba: User) -> None:
    run = Run.request(target=target, kind="change", params={}, by=SYSTEM)
    run.cancel(by=dba)

    assert run.state == RunState.CANCELLED
    assert "The target wasn't changed" in run.summary
    assert not run.claim(host="here", pid=1)
    with pytest.raises(Refusal, match="has already ended"):
        run.cancel(by=dba)


@pytest.mark.fault(9)
def test_forty_simultaneous_requests_start_one_run(
    committed_db: Any, real_target: Target, monkeypatch: pytest.MonkeyPatch, seen: Callable[[str], None]
) -> None:
    monkeypatch.setattr("deployctl.runs.queue.enqueue", lambda _run_id: True)
    together = threading.Barrier(40)

    def request(_: int) -> str:
        together.wait(60)
        try:
            return f"run {Run.request(target=real_target, kind='sleep', params={}, by=SYSTEM).pk}"
        except Refusal as refused:
            return str(refused)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(request, range(40)))

    accepted = [answer for answer in answers if answer.startswith("run ")]
    assert len(accepted) == Run.objects.count() == 1
    refused = sum("test started “Sleep” on shop" in answer for answer in answers)
    assert refused == 39
    seen(f"{len(accepted)} accepted, {refused} told who runs what")


def test_a_run_that_has_just_ended_is_not_named(target: Target) -> None:
    message = preconditions.busy_message(None, target, OPERATIONS["connect"])
    assert "shop" in message
    assert "(run" not in message
