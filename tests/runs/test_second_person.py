"""Runs that two people must stand behind: who may consent, to what, until when, and what is asked again."""

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
def told(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The runs that workers were told of."""
    hints: list[int] = []

    def hint(run_id: int) -> bool:
        hints.append(run_id)
        return True

    monkeypatch.setattr("deployctl.runs.queue.enqueue", hint)
    return hints


@pytest.fixture
def live(db: Any, kinds: None, add_target: Callable[..., Target]) -> Target:
    return add_target("live", "production")


def ask(target: Target, by: Any, **changes: Any) -> Run:
    facts = {"kind": "restore", "params": {"backup": "live-1"}, "typed_name": target.name, **changes}
    return Run.request(target=target, by=by, **facts)


@pytest.fixture
def waiting(live: Target, dba: User) -> Run:
    return ask(live, dba)


@pytest.mark.parametrize(("kind", "label"), [("restore", "Backup"), ("drop_kept_database", "Kept database")])
def test_what_two_people_stand_behind_is_named_when_it_is_asked_for(
    live: Target, dba: User, kind: str, label: str
) -> None:
    with pytest.raises(InvalidInput, match=f"Name one under “{label}”: live is production"):
        ask(live, dba, kind=kind, params={})

    assert not Run.objects.exists()


def test_a_restore_of_production_waits_and_another_operator_starts_it(
    live: Target,
    dba: User,
    devops_lead: User,
    told: list[int],
    django_capture_on_commit_callbacks: Callable[..., Any],
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        run = ask(live, dba)
    assert (run.state, told) == (RunState.WAITING, [])
    assert not run.claim(host="here", pid=1)

    with django_capture_on_commit_callbacks(execute=True):
        assert run.consent(by=devops_lead, typed_name="live") is True

    assert (run.state, told) == (RunState.QUEUED, [run.pk])
    consent = run.consents.get()
    assert (consent.given, consent.by, consent.by_name) == (True, devops_lead, devops_lead.name)
    entry = Entry.objects.get(action=Action.RUN_CONSENTED)
    assert (entry.actor, entry.subject_id) == (devops_lead, str(run.pk))


@pytest.mark.parametrize("kind", ["restore", "drop_kept_database", "rollback"])
def test_elsewhere_nobody_is_waited_for(target: Target, dba: User, kind: str) -> None:
    params = {"backup": "shop-1"} if kind == "rollback" else {}
    assert ask(target, dba, kind=kind, params=params).state == RunState.QUEUED


@pytest.mark.parametrize("typed", ["", "Live", "live ", "shop"])
def test_the_name_is_typed_exactly_by_both(live: Target, dba: User, devops_lead: User, typed: str) -> None:
    with pytest.raises(InvalidInput, match="Type the target's name, live, exactly"):
        ask(live, dba, typed_name=typed)
    assert not Run.objects.exists()

    run = ask(live, dba)
    with pytest.raises(InvalidInput, match="live is production"):
        run.consent(by=devops_lead, typed_name=typed)
    assert not run.consents.exists()
    run.refresh_from_db()
    assert run.state == RunState.WAITING


def test_who_asked_cannot_consent_but_may_cancel(waiting: Run, dba: User) -> None:
    with pytest.raises(Refusal, match=r"You requested run .* yourself"):
        waiting.consent(by=dba, typed_name="live")
    with pytest.raises(Refusal, match="cancel it"):
        waiting.object(by=dba, reason="Changed my mind.")
    waiting.cancel(by=dba)
    assert waiting.state == RunState.CANCELLED


def test_only_operators_who_are_active_consent(waiting: Run, cto: User, devops_lead: User) -> None:
    with pytest.raises(NotAllowed):
        waiting.consent(by=cto, typed_name="live")
    devops_lead.is_active = False
    with pytest.raises(NotAllowed):
        waiting.consent(by=devops_lead, typed_name="live")
    assert not waiting.consents.exists()


def test_an_objection_cancels_with_its_reason(waiting: Run, devops_lead: User) -> None:
    with pytest.raises(InvalidInput, match="Say why"):
        waiting.object(by=devops_lead, reason=" ")
    waiting.object(by=devops_lead, reason="The incident is over.")

    assert waiting.state == RunState.CANCELLED
    assert f"{devops_lead.name} objected: The incident is over." in waiting.summary
    assert Entry.objects.get(action=Action.RUN_OBJECTED).data["reason"] == "The incident is over."
    with pytest.raises(Refusal, match="waits for nobody"):
        waiting.consent(by=devops_lead, typed_name="live")


def test_the_command_line_asks_and_two_people_consent(
    live: Target, dba: User, devops_lead: User, signed_in: SignedIn
) -> None:
    run = ask(live, SYSTEM)
    page = signed_in(dba).get(f"/runs/{run.pk}/").text
    assert "After your consent it waits for one more operator." in page
    assert "With your consent it starts." not in page
    with pytest.raises(NotAllowed, match="nobody can tell who sits at a command line"):
        run.consent(by=SYSTEM, typed_name="live")

    assert run.consent(by=dba, typed_name="live") is False
    assert (run.state, run.consents_missing) == (RunState.WAITING, 1)
    with pytest.raises(Refusal, match="You consented to run"):
        run.consent(by=dba, typed_name="live")
    assert run.consent(by=devops_lead, typed_name="live") is True
    assert run.state == RunState.QUEUED


def test_a_run_that_waits_too_long_lapses_visibly(waiting: Run, devops_lead: User) -> None:
    assert dispatcher.lapse() == 0
    Run.objects.filter(pk=waiting.pk).update(
        requested_at=timezone.now() - CONSENT_TIMEOUT - dt.timedelta(seconds=1)
    )

    with pytest.raises(Refusal, match="has waited too long"):
        waiting.consent(by=devops_lead, typed_name="live")
    assert dispatcher.lapse() == 1

    waiting.refresh_from_db()
    assert waiting.state == RunState.CANCELLED
    assert "Nobody consented in time" in waiting.summary
    assert Entry.objects.filter(action=Action.RUN_CONSENT_EXPIRED, subject_id=str(waiting.pk)).exists()
    assert dispatcher.lapse() == 0


def test_one_run_waits_per_target_and_keeps_no_backup_out(
    waiting: Run, live: Target, dba: User, devops_lead: User
) -> None:
    with pytest.raises(Refusal, match="Have somebody consent to that one, or cancel it"):
        ask(live, devops_lead)
    busy = Run.request(target=live, kind="sleep", params={}, by=dba)

    with pytest.raises(Refusal, match=r"started “Sleep” on live.*Your consent was not recorded"):
        waiting.consent(by=devops_lead, typed_name="live")
    assert not waiting.consents.exists()
    busy.cancel(by=dba)
    assert waiting.consent(by=devops_lead, typed_name="live") is True


def test_permissions_are_asked_for_again_when_a_worker_takes_it(
    waiting: Run, devops_lead: User, administrator: User
) -> None:
    waiting.consent(by=devops_lead, typed_name="live")
    assert waiting.claim(host="here", pid=1)
    preconditions.check_claim(waiting)

    devops_lead.revoke(Permission.OPERATOR, by=administrator)
    with pytest.raises(NotAllowed, match=f"{devops_lead.name}, who consented, may no longer"):
        preconditions.check_claim(waiting)


def test_somebody_disabled_meanwhile_counts_for_nothing(
    waiting: Run, dba: User, devops_lead: User, administrator: User
) -> None:
    waiting.consent(by=devops_lead, typed_name="live")
    waiting.claim(host="here", pid=1)
    dba.disable(by=administrator)
    with pytest.raises(NotAllowed, match=f"{dba.name} may no longer start operations"):
        preconditions.check_claim(waiting)


def test_what_was_asked_for_on_staging_is_not_done_once_it_is_production(target: Target, dba: User) -> None:
    restore, change = ask(target, dba), None
    restore.claim(host="here", pid=1)
    Target.objects.filter(pk=target.pk).update(environment="production")
    restore.refresh_from_db()
    with pytest.raises(Refusal, match="is production by now"):
        preconditions.check_claim(restore)

    restore.fail("x")
    change = Run(target=restore.target, kind="change", requested_by=dba)
    with pytest.raises(Refusal, match="Start it from a deployment"):
        preconditions.check_claim(change)


def test_of_two_who_consent_at_once_one_starts_it(
    committed_db: Any, kinds: None, add_target: Callable[..., Target], told: list[int]
) -> None:
    asks, *others = [person(name, Permission.OPERATOR) for name in ("Ann Asks", "Bo Both", "Cy Both")]
    run = ask(add_target("live", "production"), asks)
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
    assert "it is queued; " in answers[0]
    assert run.consents.count() == 1
    assert told == [run.pk]


# --- Pages --------------------------------------------------------------------------------------------


def make_stale(user: User) -> None:
    SignIn.objects.filter(user=user).update(code_given_at=timezone.now() - dt.timedelta(hours=1))


def test_the_page_asks_for_name_and_code_and_the_other_one_consents(
    live: Target, dba: User, devops_lead: User, signed_in: SignedIn
) -> None:
    asks, consents = signed_in(dba), signed_in(devops_lead)
    assert 'name="typed_name"' in asks.get("/targets/live/").text

    restore = {"kind": "restore", "backup": "live-1"}
    wrong = asks.post("/targets/live/runs", {**restore, "typed_name": "life"})
    asked = asks.post("/targets/live/runs", {**restore, "typed_name": "live"})
    run = Run.objects.get()
    assert (wrong.status_code, asked.status_code) == (422, 303)
    own = asks.get(f"/runs/{run.pk}/").text
    assert "somebody else has to consent" in own
    assert f'action="/runs/{run.pk}/consent"' not in own
    assert "Consent to" not in asks.get("/").text
    assert "Consent to “Restore” on live" in consents.get("/").text

    page = consents.get(f"/runs/{run.pk}/").text
    assert f'action="/runs/{run.pk}/consent"' in page
    assert "No backup first, because" in page
    assert "The backup takes the place of what is in live now" in page
    assert "With your consent it starts." in page
    refused = asks.post(f"/runs/{run.pk}/consent", {"typed_name": "live"})
    wrong = consents.post(f"/runs/{run.pk}/consent", {"typed_name": "LIVE"})
    given = consents.post(f"/runs/{run.pk}/consent", {"typed_name": "live"})
    assert (refused.status_code, wrong.status_code, given.status_code) == (409, 422, 303)
    run.refresh_from_db()
    assert run.state == RunState.QUEUED
    assert f"{devops_lead.name} consented" in consents.get(f"/runs/{run.pk}/").text
    assert "Consent to" not in consents.get("/").text


def test_without_a_fresh_code_nothing_is_asked_for_nor_consented_to(
    live: Target, dba: User, devops_lead: User, signed_in: SignedIn
) -> None:
    asks, consents = signed_in(dba), signed_in(devops_lead)
    make_stale(dba)
    answer = asks.post("/targets/live/runs", {"kind": "restore", "typed_name": "live"})
    assert (answer.status_code, answer["Location"]) == (302, "/account/code/")
    assert not Run.objects.exists()
    # What needs nobody else needs no fresh code either.
    assert asks.post("/targets/live/runs", {"kind": "look"}).status_code == 303

    run = ask(live, dba)
    make_stale(devops_lead)
    answer = consents.post(f"/runs/{run.pk}/consent", {"typed_name": "live"})
    assert (answer.status_code, answer["Location"]) == (302, "/account/code/")
    run.refresh_from_db()
    assert run.state == RunState.WAITING


def test_objecting_from_the_page(waiting: Run, devops_lead: User, viewer: User, signed_in: SignedIn) -> None:
    address = f"/runs/{waiting.pk}/objection"
    assert signed_in(viewer).post(address, {"reason": "No."}).status_code == 403
    answer = signed_in(devops_lead).post(address, {"reason": "Too early."}, headers={"HX-Request": "true"})

    assert answer.status_code == 200
    assert f"{devops_lead.name} objected" in answer.text
    assert "Start it again" not in answer.text


def test_a_backup_is_chosen_by_default_but_never_a_database(live: Target, dba: User) -> None:
    backup = make_backup(live, name="live-1")
    backup.trust_levels.create(level="hashed", run=backup.run)
    with pytest.raises(InvalidInput, match="Name one under “Kept database”"):
        ask(live, dba, kind="drop_kept_database", params={})
    assert ask(live, dba, params={}).params["backup"] == "live-1"
