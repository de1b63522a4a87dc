"""Transitions of a deployment, the permissions for them, and changes of its plan."""

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


def set_state(deployment: Deployment, state: str) -> Deployment:
    Deployment.objects.filter(pk=deployment.pk).update(state=state)
    deployment.refresh_from_db()
    return deployment


def transition(deployment: Deployment, verb: str) -> None:
    reasons = {"reopen", "cancel", "halt", "start_rollback", "finish_rollback"}
    getattr(deployment, verb)(MACHINE, *(["because"] if verb in reasons else []))


@pytest.mark.parametrize("verb", TRANSITIONS)
def test_each_transition_is_allowed_only_from_its_states(deployment: Deployment, verb: str) -> None:
    Item.objects.of_deployment(deployment.pk).update(state=ItemState.DONE)
    for state in DeploymentState:
        set_state(deployment, state)
        if state in TRANSITIONS[verb]:
            transition(deployment, verb)
            assert deployment.state == TRANSITIONS[verb][state]
            last = deployment.state_changes.order_by("pk").last()
            assert last is not None
            assert (last.from_state, last.to_state, last.by_name) == (state, TRANSITIONS[verb][state], "test")
        else:
            with pytest.raises(Refusal, match="Nothing was changed"):
                transition(deployment, verb)
            deployment.refresh_from_db()
            assert deployment.state == state


def test_a_transition_is_audited_and_calls_handlers(deployment: Deployment, dba: User) -> None:
    received: list[tuple[str, str]] = []

    def handler(_deployment: Deployment, _by: object, before: str, after: str) -> None:
        received.append((before, after))

    with hooks.state_changed.connected(handler):
        deployment.cancel(dba, "Not this week.")
    assert received == [("planning", "cancelled")]
    entry = Entry.objects.get(action="deployment.cancelled")
    assert entry.actor == dba
    assert entry.data["reason"] == "Not this week."


def test_a_halted_deployment_resumes_its_former_state(deployment: Deployment, dba: User) -> None:
    set_state(deployment, "verifying").halt(dba, "Smoke.")
    assert deployment.state == "halted"
    deployment.resume(dba)
    assert deployment.state == "verifying"


def test_beginning_outside_the_window_is_recorded(deployment: Deployment, dba: User) -> None:
    set_state(deployment, "approved").begin(dba)
    assert "before the window opens" in deployment.state_changes.get(to_state="deploying").reason


def test_anybody_in_the_team_may_halt_with_a_reason(
    deployment: Deployment, qa_lead: User, outsider: User
) -> None:
    set_state(deployment, "deploying")
    with pytest.raises(InvalidInput, match="needs a reason"):
        deployment.halt(qa_lead, "  ")
    with pytest.raises(NotAllowed, match="call one of the contacts"):
        deployment.halt(outsider, "I do not like it.")
    deployment.halt(qa_lead, "The login page is gone.")
    assert deployment.state == "halted"


def test_leading_needs_a_leading_role_or_permission(
    deployment: Deployment, qa_lead: User, administrator: User
) -> None:
    set_state(deployment, "approved")
    with pytest.raises(NotAllowed, match="Database Administrator, DevOps Lead and CTO"):
        deployment.begin(qa_lead)
    deployment.begin(administrator)
    assert deployment.state == "deploying"


def test_closing_waits_for_the_first_week(deployment: Deployment, dba: User) -> None:
    set_state(deployment, "signed_off")
    with pytest.raises(Refusal, match="“Reviewed the logs” is open"):
        deployment.close(dba)
    item(deployment, "Reviewed").complete(dba)
    deployment.close(dba)
    assert deployment.state == "closed"


def test_verification_waits_for_unfinished_runs(deployment: Deployment, dba: User) -> None:
    set_state(deployment, "deploying")
    run = Run.request(
        target=deployment.target, kind="connect", params={}, by=dba, authority=deployment.authority
    )
    with pytest.raises(Refusal, match=f"Run {run.pk}"):
        deployment.start_verification(dba)
    run.cancel(by=dba)
    deployment.start_verification(dba)


@pytest.mark.usefixtures("committed_db")
def test_only_one_of_two_concurrent_beginnings_succeeds() -> None:
    from deployctl.accounts.models import User as Person
    from deployctl.accounts.roles import Permission, Role
    from tests.checklists.factories import a_target
    from tests.people import person

    people = [person(name, Permission.OPERATOR) for name in ("Ann One", "Bob Two")]
    made = plan(a_target(), published(), [(people[0], Role.DBA)])
    set_state(made, "approved")
    refusals: list[str] = []
    barrier = threading.Barrier(2)

    def begin(by: Person) -> None:
        mine = Deployment.objects.get(pk=made.pk)
        barrier.wait()
        try:
            mine.begin(by)
        except Refusal as refusal:
            refusals.append(refusal.message)
        finally:
            connection.close()

    threads = [threading.Thread(target=begin, args=[by]) for by in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refusals) == 1
    assert "is deploying" in refusals[0]
    assert made.state_changes.filter(to_state="deploying").count() == 1


# --- Editing ------------------------------------------------------------------------------------------


def test_editing_reports_changes_and_moves_due_times(deployment: Deployment, dba: User) -> None:
    from datetime import timedelta

    received: list[tuple[str, str]] = []

    def handler(_deployment: Deployment, _by: object, what: str, stage: str) -> None:
        received.append((what, stage))

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
    assert received == [("; ".join(changed), "pre")]
    assert item(deployment, "Server").due_at == deployment.window_start - timedelta(weeks=1)
    assert item(deployment, "Looked").due_at == deployment.window_end + timedelta(hours=2)
    entry = Entry.objects.get(action="deployment.edited")
    assert entry.data["title"] == {"before": "Shop goes live", "after": "Another title"}


def test_editing_nothing_changes_nothing(deployment: Deployment, dba: User) -> None:
    seats = [(member.user, member.role) for member in deployment.team.all()]
    assert deployment.edit(dba, title=deployment.title, team=seats) == []
    assert not Entry.objects.filter(action="deployment.edited").exists()


def test_editing_the_team_adds_and_removes_members(
    deployment: Deployment, dba: User, devops_lead: User, qa_lead: User, cto: User
) -> None:
    member = deployment.team.get(user=dba).pk
    (phrase,) = deployment.edit(dba, team=[*team_of(dba, devops_lead, qa_lead)[:2], (cto, "cto")])
    assert phrase == "team changed: Quinn Adler (QA Lead) removed; Cora Tolland (CTO/Tech Lead) added"
    assert deployment.team.get(user=dba).pk == member


def test_the_approved_plan_is_frozen_after_the_beginning(deployment: Deployment, dba: User) -> None:
    set_state(deployment, "deploying")
    with pytest.raises(Refusal, match="its rollback plan can no longer change"):
        deployment.edit(dba, rollback_plan="Hope.")
    with pytest.raises(Refusal, match="its start of the window can no longer change"):
        deployment.edit(dba, window_start=deployment.window_start.replace(microsecond=1))
    deployment.edit(dba, notes="It took longer.", window_end=deployment.window_end.replace(microsecond=1))
    assert deployment.notes == "It took longer."


def test_a_closed_deployment_no_longer_changes(deployment: Deployment, dba: User) -> None:
    set_state(deployment, "closed")
    with pytest.raises(Refusal, match="is closed, so its plan can no longer change"):
        deployment.edit(dba, notes="Late thought.")


def test_moving_into_another_window_is_refused_without_changes(deployment: Deployment, dba: User) -> None:
    from tests.checklists.factories import in_hours

    other = plan(
        deployment.target,
        deployment.template_version,
        [(dba, "dba")],
        window_start=in_hours(48),
        window_end=in_hours(50),
        title="Second",
    )
    with pytest.raises(Refusal, match="overlaps with that of “Second” on shop"):
        deployment.edit(dba, title="New title", window_end=in_hours(49))
    deployment.refresh_from_db()
    assert deployment.title == "Shop goes live"
    assert deployment.window_end < other.window_start


def test_a_released_window_stays_released_after_a_reopening(deployment: Deployment, dba: User) -> None:
    set_state(deployment, "verifying")
    facts = {"window_start": deployment.window_start, "window_end": deployment.window_end}

    def another(title: str) -> Deployment:
        version = deployment.template_version
        return plan(deployment.target, version, [(dba, "dba")], title=title, **facts)

    with pytest.raises(Refusal, match="overlaps with that of “Shop goes live” on shop"):
        another("Too early")
    deployment.sign_off(MACHINE)
    other = another("The next one")
    deployment.reopen(MACHINE, "because")
    assert deployment.state == "verifying"
    with pytest.raises(Refusal, match="overlaps with that of “The next one” on shop"):
        another("A third")
    other.cancel(MACHINE, "Not needed.")
    deployment.halt(MACHINE, "Smoke.")
    another("The next but one")
    deployment.resume(MACHINE)
    deployment.sign_off(MACHINE)
    deployment.edit(MACHINE, notes="Done twice.", window_end=deployment.window_end.replace(microsecond=1))


def test_losing_the_approval_does_not_release_the_window(deployment: Deployment, dba: User) -> None:
    set_state(deployment, "approved").reopen(MACHINE, "because")
    with pytest.raises(Refusal, match="overlaps with that of “Shop goes live” on shop"):
        plan(
            deployment.target,
            deployment.template_version,
            [(dba, "dba")],
            window_start=deployment.window_start,
            window_end=deployment.window_end,
        )
