"""Dual approval: who may consent, to what, how long, and what is checked again."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.utils import timezone

from deployctl.accounts.models import SignIn, User
from deployctl.accounts.roles import Permission
from deployctl.audit import Action, Machine
from deployctl.audit.models import Entry
from deployctl.errors import InvalidInput, NotAllowed, Refusal
from deployctl.runs import preconditions
from deployctl.runs.execution import dispatcher
from deployctl.runs.models import Run, RunState, Target
from deployctl.runs.models.run_states import CONSENT_TIMEOUT
from tests.people import person
from tests.runs.test_backup_files import make_backup

SYSTEM = Machine("test")
SignedIn = Callable[..., Client]


@pytest.fixture(autouse=True)
def enqueued(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the runs whose task was sent."""
    run_ids: list[int] = []

    def enqueue(run_id: int) -> bool:
        run_ids.append(run_id)
        return True

    monkeypatch.setattr("deployctl.runs.queue.enqueue", enqueue)
    return run_ids


@pytest.fixture
def live(db: Any, kinds: None, add_target: Callable[..., Target]) -> Target:
    return add_target("live", "production")


def request_restore(target: Target, by: Any, **changes: Any) -> Run:
    facts = {"kind": "restore", "params": {"backup": "live-1"}, "typed_name": target.name, **changes}
    return Run.request(target=target, by=by, **facts)


@pytest.fixture
def waiting(live: Target, dba: User) -> Run:
    return request_restore(live, dba)


@pytest.mark.parametrize(("kind", "label"), [("restore", "Backup"), ("drop_kept_database", "Kept database")])
def test_a_request_for_production_must_name_the_backup(
    live: Target, dba: User, kind: str, label: str
) -> None:
    with pytest.raises(InvalidInput, match=f"Fill in “{label}”: live is in production"):
        request_restore(live, dba, kind=kind, params={})

    assert not Run.objects.exists()


def test_a_second_person_must_consent_on_production(
    live: Target,
    dba: User,
    devops_lead: User,
    enqueued: list[int],
    django_capture_on_commit_callbacks: Callable[..., Any],
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        run = request_restore(live, dba)
    assert (run.state, enqueued) == (RunState.WAITING, [])
    assert not run.claim(host="here", pid=1)

    with django_capture_on_commit_callbacks(execute=True):
        assert run.consent(by=devops_lead, typed_name="live") is True

    assert (run.state, enqueued) == (RunState.QUEUED, [run.pk])
    consent = run.consents.get()
    assert (consent.given, consent.by, consent.by_name) == (True, devops_lead, devops_lead.name)
    entry = Entry.objects.get(action=Action.RUN_CONSENTED)
    assert (entry.actor, entry.subject_id) == (devops_lead, str(run.pk))


@pytest.mark.parametrize("kind", ["restore", "drop_kept_database", "rollback"])
def test_other_environments_need_no_second_person(target: Target, dba: User, kind: str) -> None:
    params = {"backup": "shop-1"} if kind == "rollback" else {}
    assert request_restore(target, dba, kind=kind, params=params).state == RunState.QUEUED


@pytest.mark.parametrize("typed", ["", "Live", "live ", "shop"])
def test_both_people_must_type_the_exact_name(live: Target, dba: User, devops_lead: User, typed: str) -> None:
    with pytest.raises(InvalidInput, match="Type the target's name exactly: live"):
        request_restore(live, dba, typed_name=typed)
    assert not Run.objects.exists()

    run = request_restore(live, dba)
    with pytest.raises(InvalidInput, match="live is in production"):
        run.consent(by=devops_lead, typed_name=typed)
    assert not run.consents.exists()
    run.refresh_from_db()
    assert run.state == RunState.WAITING


def test_the_requester_cannot_consent_but_may_cancel(waiting: Run, dba: User) -> None:
    with pytest.raises(Refusal, match=r"You requested run .* another operator must answer"):
        waiting.consent(by=dba, typed_name="live")
    with pytest.raises(Refusal, match="Cancel the run"):
        waiting.object(by=dba, reason="Changed my mind.")
    waiting.cancel(by=dba)
    assert waiting.state == RunState.CANCELLED


def test_only_active_operators_may_consent(waiting: Run, cto: User, devops_lead: User) -> None:
    with pytest.raises(NotAllowed):
        waiting.consent(by=cto, typed_name="live")
    devops_lead.is_active = False
    with pytest.raises(NotAllowed):
        waiting.consent(by=devops_lead, typed_name="live")
    assert not waiting.consents.exists()


def test_an_objection_cancels_the_run_with_its_reason(waiting: Run, devops_lead: User) -> None:
    with pytest.raises(InvalidInput, match="Enter a reason"):
        waiting.object(by=devops_lead, reason=" ")
    waiting.object(by=devops_lead, reason="The incident is over.")

    assert waiting.state == RunState.CANCELLED
    assert f"{devops_lead.name} objected: The incident is over." in waiting.summary
    assert Entry.objects.get(action=Action.RUN_OBJECTED).data["reason"] == "The incident is over."
    with pytest.raises(Refusal, match="waiting for consent"):
        waiting.consent(by=devops_lead, typed_name="live")


def test_a_request_from_the_command_line_needs_two_consents(
    live: Target, dba: User, devops_lead: User, signed_in: SignedIn
) -> None:
    run = request_restore(live, SYSTEM)
    page = signed_in(dba).get(f"/runs/{run.pk}/").text
    assert "After your consent, the run waits for one more operator." in page
    assert "Your consent starts the run." not in page
    with pytest.raises(NotAllowed, match="command line can't consent"):
        run.consent(by=SYSTEM, typed_name="live")

    assert run.consent(by=dba, typed_name="live") is False
    assert (run.state, run.consents_missing) == (RunState.WAITING, 1)
    with pytest.raises(Refusal, match="already consented to run"):
        run.consent(by=dba, typed_name="live")
    assert run.consent(by=devops_lead, typed_name="live") is True
    assert run.state == RunState.QUEUED


def test_a_run_without_consent_expires_with_a_message(waiting: Run, devops_lead: User) -> None:
    assert dispatcher.expire_consents() == 0
    Run.objects.filter(pk=waiting.pk).update(
        requested_at=timezone.now() - CONSENT_TIMEOUT - dt.timedelta(seconds=1)
    )

    with pytest.raises(Refusal, match=r"Nobody consented to run .* in time"):
        waiting.consent(by=devops_lead, typed_name="live")
    assert dispatcher.expire_consents() == 1

    waiting.refresh_from_db()
    assert waiting.state == RunState.CANCELLED
    assert "because nobody consented in time" in waiting.summary
    assert Entry.objects.filter(action=Action.RUN_CONSENT_EXPIRED, subject_id=str(waiting.pk)).exists()
    assert dispatcher.expire_consents() == 0


def test_one_run_per_target_waits_without_blocking_backups(
    waiting: Run, live: Target, dba: User, devops_lead: User
) -> None:
    with pytest.raises(Refusal, match="Ask another operator to consent to that run, or cancel it"):
        request_restore(live, devops_lead)
    busy = Run.request(target=live, kind="sleep", params={}, by=dba)

    with pytest.raises(Refusal, match=r"started “Sleep” on live.*Your consent wasn't recorded"):
        waiting.consent(by=devops_lead, typed_name="live")
    assert not waiting.consents.exists()
    busy.cancel(by=dba)
    assert waiting.consent(by=devops_lead, typed_name="live") is True


def test_permissions_of_both_people_are_checked_again_at_the_claim(
    waiting: Run, devops_lead: User, administrator: User
) -> None:
    waiting.consent(by=devops_lead, typed_name="live")
    assert waiting.claim(host="here", pid=1)
    preconditions.check_claim(waiting)

    devops_lead.revoke(Permission.OPERATOR, by=administrator)
    with pytest.raises(NotAllowed, match=f"{devops_lead.name}, who consented, is no longer an operator"):
        preconditions.check_claim(waiting)


def test_the_consent_of_a_disabled_person_does_not_count(
    waiting: Run, dba: User, devops_lead: User, administrator: User
) -> None:
    waiting.consent(by=devops_lead, typed_name="live")
    waiting.claim(host="here", pid=1)
    dba.disable(by=administrator)
    with pytest.raises(NotAllowed, match=f"{dba.name} is no longer an operator"):
        preconditions.check_claim(waiting)


def test_a_run_requested_on_staging_is_refused_on_production(target: Target, dba: User) -> None:
    restore, change = request_restore(target, dba), None
    restore.claim(host="here", pid=1)
    Target.objects.filter(pk=target.pk).update(environment="production")
    restore.refresh_from_db()
    with pytest.raises(Refusal, match="is in production now"):
        preconditions.check_claim(restore)

    restore.fail("x")
    change = Run(target=restore.target, kind="change", requested_by=dba)
    with pytest.raises(Refusal, match="Start it from a deployment"):
        preconditions.check_claim(change)


def test_two_simultaneous_consents_start_the_run_once(
    committed_db: Any, kinds: None, add_target: Callable[..., Target], enqueued: list[int]
) -> None:
    requester, *others = [person(name, Permission.OPERATOR) for name in ("Ann Asks", "Bo Both", "Cy Both")]
    run = request_restore(add_target("live", "production"), requester)
    together = threading.Barrier(2)

    def consent(by: User) -> str:
        together.wait(60)
        try:
            return str(Run.objects.get(pk=run.pk).consent(by=by, typed_name="live"))
        except Refusal as refused:
            return str(refused)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        answers = sorted(pool.map(consent, others))

    assert answers[1] == "True"
    assert "its state is “Queued”, and " in answers[0]
    assert run.consents.count() == 1
    assert enqueued == [run.pk]


# --- Pages --------------------------------------------------------------------------------------------


def make_stale(user: User) -> None:
    SignIn.objects.filter(user=user).update(code_given_at=timezone.now() - dt.timedelta(hours=1))


def test_requesting_and_consenting_need_the_name_and_a_fresh_code(
    live: Target, dba: User, devops_lead: User, signed_in: SignedIn
) -> None:
    requester, consenter = signed_in(dba), signed_in(devops_lead)
    assert 'name="typed_name"' in requester.get("/targets/live/").text

    restore = {"kind": "restore", "backup": "live-1"}
    wrong = requester.post("/targets/live/runs", {**restore, "typed_name": "life"})
    asked = requester.post("/targets/live/runs", {**restore, "typed_name": "live"})
    run = Run.objects.get()
    assert (wrong.status_code, asked.status_code) == (422, 303)
    own = requester.get(f"/runs/{run.pk}/").text
    assert "so another operator must consent" in own
    assert f'action="/runs/{run.pk}/consent"' not in own
    assert "Consent to" not in requester.get("/").text
    assert "Consent to “Restore backup” on live" in consenter.get("/").text

    page = consenter.get(f"/runs/{run.pk}/").text
    assert f'action="/runs/{run.pk}/consent"' in page
    assert "Reason to skip the pre-restore backup" in page
    assert "This replaces live with the backup" in page
    assert "Your consent starts the run." in page
    refused = requester.post(f"/runs/{run.pk}/consent", {"typed_name": "live"})
    wrong = consenter.post(f"/runs/{run.pk}/consent", {"typed_name": "LIVE"})
    given = consenter.post(f"/runs/{run.pk}/consent", {"typed_name": "live"})
    assert (refused.status_code, wrong.status_code, given.status_code) == (409, 422, 303)
    run.refresh_from_db()
    assert run.state == RunState.QUEUED
    assert f"{devops_lead.name} consented" in consenter.get(f"/runs/{run.pk}/").text
    assert "Consent to" not in consenter.get("/").text


def test_nothing_is_requested_or_consented_without_a_fresh_code(
    live: Target, dba: User, devops_lead: User, signed_in: SignedIn
) -> None:
    requester, consenter = signed_in(dba), signed_in(devops_lead)
    make_stale(dba)
    answer = requester.post("/targets/live/runs", {"kind": "restore", "typed_name": "live"})
    assert (answer.status_code, answer["Location"]) == (302, "/account/step-up/")
    assert not Run.objects.exists()
    # An operation that needs no second person needs no fresh code.
    assert requester.post("/targets/live/runs", {"kind": "look"}).status_code == 303

    run = request_restore(live, dba)
    make_stale(devops_lead)
    answer = consenter.post(f"/runs/{run.pk}/consent", {"typed_name": "live"})
    assert (answer.status_code, answer["Location"]) == (302, "/account/step-up/")
    run.refresh_from_db()
    assert run.state == RunState.WAITING


def test_an_operator_objects_on_the_page_of_the_run(
    waiting: Run, devops_lead: User, viewer: User, signed_in: SignedIn
) -> None:
    address = f"/runs/{waiting.pk}/objection"
    assert signed_in(viewer).post(address, {"reason": "No."}).status_code == 403
    answer = signed_in(devops_lead).post(address, {"reason": "Too early."}, headers={"HX-Request": "true"})

    assert answer.status_code == 200
    assert f"{devops_lead.name} objected" in answer.text
    assert "Start again" not in answer.text


def test_a_backup_is_chosen_by_default_but_never_a_database(live: Target, dba: User) -> None:
    backup = make_backup(live, name="live-1")
    backup.trust_levels.create(level="hashed", run=backup.run)
    with pytest.raises(InvalidInput, match="Fill in “Kept database”"):
        request_restore(live, dba, kind="drop_kept_database", params={})
    assert request_restore(live, dba, params={}).params["backup"] == "live-1"
