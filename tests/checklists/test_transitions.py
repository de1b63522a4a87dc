"""The moves of a deployment: the legal ones, the refused ones, and who may make them."""

from __future__ import annotations

import threading

import pytest
from django.db import connection

from checklists import hooks
from checklists.models import Deployment, DeploymentState, Item, ItemState
from checklists.models.deployment_state import TRANSITIONS
from deployctl.accounts.models import User
from deployctl.audit.models import Entry
from deployctl.errors import InvalidInput, NotAllowed, Refusal
from deployctl.runs.models import Run
from tests.checklists.factories import MACHINE, item, plan, published, team_of


def put(deployment: Deployment, state: str) -> Deployment:
    Deployment.objects.filter(pk=deployment.pk).update(state=state)
    deployment.refresh_from_db()
    return deployment


def press(deployment: Deployment, verb: str) -> None:
    reasons = {"reopen", "cancel", "halt", "start_rollback", "finish_rollback"}
    getattr(deployment, verb)(MACHINE, *(["because"] if verb in reasons else []))


@pytest.mark.parametrize("verb", TRANSITIONS)
def test_every_verb_moves_from_its_states_and_is_refused_in_all_others(
    deployment: Deployment, verb: str
) -> None:
    Item.objects.of_deployment(deployment.pk).update(state=ItemState.DONE)
    for state in DeploymentState:
        put(deployment, state)
        if state in TRANSITIONS[verb]:
            press(deployment, verb)
            assert deployment.state == TRANSITIONS[verb][state]
            last = deployment.state_changes.order_by("pk").last()
            assert last is not None
            assert (last.from_state, last.to_state, last.by_name) == (state, TRANSITIONS[verb][state], "test")
        else:
            with pytest.raises(Refusal, match="Nothing was changed"):
                press(deployment, verb)
            deployment.refresh_from_db()
            assert deployment.state == state


def test_a_move_leaves_an_audit_entry_and_is_told(deployment: Deployment, dba: User) -> None:
    heard: list[tuple[str, str]] = []

    def handler(_deployment: Deployment, _by: object, before: str, after: str) -> None:
        heard.append((before, after))

    with hooks.state_changed.connected(handler):
        deployment.cancel(dba, "Not this week.")
    assert heard == [("planning", "cancelled")]
    entry = Entry.objects.get(action="deployment.cancelled")
    assert entry.actor == dba
    assert entry.data["reason"] == "Not this week."


def test_a_halted_deployment_resumes_where_it_was(deployment: Deployment, dba: User) -> None:
    put(deployment, "verifying").halt(dba, "Smoke.")
    assert deployment.state == "halted"
    deployment.resume(dba)
    assert deployment.state == "verifying"


def test_beginning_outside_the_window_is_recorded(deployment: Deployment, dba: User) -> None:
    put(deployment, "approved").begin(dba)
    assert "before the window opens" in deployment.state_changes.get(to_state="deploying").reason


def test_halting_needs_a_reason_and_is_for_the_whole_team(
    deployment: Deployment, qa_lead: User, outsider: User
) -> None:
    put(deployment, "deploying")
    with pytest.raises(InvalidInput, match="needs a reason"):
        deployment.halt(qa_lead, "  ")
    with pytest.raises(NotAllowed, match="call one of the contacts"):
        deployment.halt(outsider, "I do not like it.")
    deployment.halt(qa_lead, "The login page is gone.")
    assert deployment.state == "halted"


def test_leading_is_not_for_everybody_in_the_team(
    deployment: Deployment, qa_lead: User, administrator: User
) -> None:
    put(deployment, "approved")
    with pytest.raises(NotAllowed, match="Database Administrator, DevOps Lead or CTO"):
        deployment.begin(qa_lead)
    deployment.begin(administrator)
    assert deployment.state == "deploying"


def test_closing_waits_for_the_first_week(deployment: Deployment, dba: User) -> None:
    put(deployment, "signed_off")
    with pytest.raises(Refusal, match="“Reviewed the logs” is open"):
        deployment.close(dba)
    item(deployment, "Reviewed").complete(dba)
    deployment.close(dba)
    assert deployment.state == "closed"


def test_verification_waits_for_unfinished_runs(deployment: Deployment, dba: User) -> None:
    put(deployment, "deploying")
    run = Run.request(
        target=deployment.target, kind="connect", params={}, by=dba, authority=deployment.authority
    )
    with pytest.raises(Refusal, match=f"Run {run.pk}"):
        deployment.start_verification(dba)
    run.cancel(by=dba)
    deployment.start_verification(dba)


@pytest.mark.usefixtures("committed_db")
def test_of_two_people_who_begin_at_once_one_is_told_that_it_has_begun() -> None:
    from deployctl.accounts.models import User as Person
    from deployctl.accounts.roles import Permission, Role
    from tests.checklists.factories import a_target
    from tests.people import person

    people = [person(name, Permission.OPERATOR) for name in ("Ann One", "Bob Two")]
    made = plan(a_target(), published(), [(people[0], Role.DBA)])
    put(made, "approved")
    told: list[str] = []
    barrier = threading.Barrier(2)

    def begin(by: Person) -> None:
        mine = Deployment.objects.get(pk=made.pk)
        barrier.wait()
        try:
            mine.begin(by)
        except Refusal as refusal:
            told.append(refusal.message)
        finally:
            connection.close()

    threads = [threading.Thread(target=begin, args=[by]) for by in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 1
    assert "is deploying" in told[0]
    assert made.state_changes.filter(to_state="deploying").count() == 1


# --- Editing ------------------------------------------------------------------------------------------


def test_editing_says_what_changed_and_moves_due_times(deployment: Deployment, dba: User) -> None:
    from datetime import timedelta

    heard: list[tuple[str, str]] = []

    def handler(_deployment: Deployment, _by: object, what: str, stage: str) -> None:
        heard.append((what, stage))

    day = timedelta(days=1)
    with hooks.record_changed.connected(handler):
        changed = deployment.edit(
            dba,
            window_start=deployment.window_start + day,
            window_end=deployment.window_end + day,
            title="Another title",
            rollback_plan="Another plan.",
        )
    assert [phrase.split()[0] for phrase in changed] == ["title", "window", "rollback"]
    assert heard == [("; ".join(changed), "pre")]
    assert item(deployment, "Server").due_at == deployment.window_start - timedelta(weeks=1)
    assert item(deployment, "Looked").due_at == deployment.window_end + timedelta(hours=2)
    entry = Entry.objects.get(action="deployment.edited")
    assert entry.data["title"] == {"before": "Shop goes live", "after": "Another title"}


def test_editing_nothing_changes_nothing(deployment: Deployment, dba: User) -> None:
    seats = [(member.user, member.role) for member in deployment.team.all()]
    assert deployment.edit(dba, title=deployment.title, team=seats) == []
    assert not Entry.objects.filter(action="deployment.edited").exists()


def test_the_team_changes_by_what_is_new_and_what_is_gone(
    deployment: Deployment, dba: User, devops_lead: User, qa_lead: User, cto: User
) -> None:
    kept = deployment.team.get(user=dba).pk
    (phrase,) = deployment.edit(dba, team=[*team_of(dba, devops_lead, qa_lead)[:2], (cto, "cto")])
    assert phrase == "team changed: now without Quinn Adler (QA Lead) and with Cora Tolland (CTO/Tech Lead)"
    assert deployment.team.get(user=dba).pk == kept


def test_what_was_approved_stays_once_it_has_begun(deployment: Deployment, dba: User) -> None:
    put(deployment, "deploying")
    with pytest.raises(Refusal, match="its rollback plan was approved"):
        deployment.edit(dba, rollback_plan="Hope.")
    with pytest.raises(Refusal, match="its start of the window was approved"):
        deployment.edit(dba, window_start=deployment.window_start.replace(microsecond=1))
    deployment.edit(dba, notes="It took longer.", window_end=deployment.window_end.replace(microsecond=1))
    assert deployment.notes == "It took longer."


def test_a_closed_deployment_no_longer_changes(deployment: Deployment, dba: User) -> None:
    put(deployment, "closed")
    with pytest.raises(Refusal, match="is closed and no longer changes"):
        deployment.edit(dba, notes="Late thought.")


def test_moving_into_another_deployments_window_is_refused_and_nothing_moves(
    deployment: Deployment, dba: User
) -> None:
    from tests.checklists.factories import in_hours

    other = plan(
        deployment.target,
        deployment.template_version,
        [(dba, "dba")],
        window_start=in_hours(48),
        window_end=in_hours(50),
        title="Second",
    )
    with pytest.raises(Refusal, match="“Second” holds shop"):
        deployment.edit(dba, title="New title", window_end=in_hours(49))
    deployment.refresh_from_db()
    assert deployment.title == "Shop goes live"
    assert deployment.window_end < other.window_start


def test_a_window_that_was_given_up_stays_free_when_the_gate_reopens(
    deployment: Deployment, dba: User
) -> None:
    put(deployment, "verifying")
    facts = {"window_start": deployment.window_start, "window_end": deployment.window_end}

    def another(title: str) -> Deployment:
        version = deployment.template_version
        return plan(deployment.target, version, [(dba, "dba")], title=title, **facts)

    with pytest.raises(Refusal, match="“Shop goes live” holds shop from"):
        another("Too early")
    deployment.sign_off(MACHINE)
    other = another("The next one")
    deployment.reopen(MACHINE, "because")
    assert deployment.state == "verifying"
    with pytest.raises(Refusal, match="“The next one” holds shop from"):
        another("A third")
    other.cancel(MACHINE, "Not needed.")
    deployment.halt(MACHINE, "Smoke.")
    another("The next but one")
    deployment.resume(MACHINE)
    deployment.sign_off(MACHINE)
    deployment.edit(MACHINE, notes="Done twice.", window_end=deployment.window_end.replace(microsecond=1))


def test_an_approval_that_is_lost_leaves_the_window_where_it_was(deployment: Deployment, dba: User) -> None:
    put(deployment, "approved").reopen(MACHINE, "because")
    with pytest.raises(Refusal, match="“Shop goes live” holds shop from"):
        plan(
            deployment.target,
            deployment.template_version,
            [(dba, "dba")],
            window_start=deployment.window_start,
            window_end=deployment.window_end,
        )
