"""Items that operations prove: when runs may start, and how their outcome changes the item."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest

from checklists.handlers import settle_missed_proofs
from checklists.models import Deployment, Item, ItemState
from checklists.readiness import blockers
from deployctl.accounts.models import User
from deployctl.errors import InvalidInput, NotAllowed, Refusal
from deployctl.runs.models import Run, RunState, Target
from deployctl.runs.preconditions import check_claim
from tests.checklists import factories
from tests.checklists.factories import finish, item


def set_state(deployment: Deployment, state: str) -> None:
    Deployment.objects.filter(pk=deployment.pk).update(state=state)


def test_operations_wait_for_the_first_gate(deployment: Deployment, dba: User) -> None:
    with pytest.raises(Refusal, match="first gate isn't signed yet; get it signed, then begin"):
        item(deployment, "Migrations").start(dba)
    set_state(deployment, "approved")
    with pytest.raises(Refusal, match="hasn't begun yet; begin it first"):
        item(deployment, "Migrations").start(dba)
    assert not Run.objects.exists()


def test_items_of_the_first_gate_can_be_proven_before_it(deployment: Deployment, dba: User) -> None:
    checklist_item = item(deployment, "Connection")
    run = checklist_item.start(dba)
    assert (run.kind, run.authority, run.state) == ("connect", f"deployment:{deployment.pk}", "queued")
    assert checklist_item.proofs.get().outcome == "pending"
    assert f"run {run.pk} (queued)" in " ".join(b.sentence for b in blockers(deployment, "pre"))


def test_a_begun_deployment_may_change_the_target(deployment: Deployment, dba: User) -> None:
    set_state(deployment, "deploying")
    run = item(deployment, "Migrations").start(dba)
    assert run.changes_target


def test_a_halted_deployment_starts_no_runs(deployment: Deployment, dba: User) -> None:
    set_state(deployment, "halted")
    with pytest.raises(Refusal, match="is halted; resume it first"):
        item(deployment, "Migrations").start(dba)


def test_a_run_needs_an_operator_who_may_complete_the_item(
    deployment: Deployment, qa_lead: User, viewer: User
) -> None:
    with pytest.raises(NotAllowed):
        item(deployment, "Connection").start(viewer)
    deployment.edit(deployment.team.all()[0].user, team=[(qa_lead, "dba")])
    with pytest.raises(NotAllowed, match="Only operators"):
        item(deployment, "Connection").start(qa_lead)


def test_a_manual_item_has_no_run_to_start(deployment: Deployment, dba: User) -> None:
    with pytest.raises(Refusal, match="has no operation"):
        item(deployment, "Server").start(dba)


def test_unknown_parameters_are_refused_without_a_run(deployment: Deployment, dba: User) -> None:
    with pytest.raises(InvalidInput):
        item(deployment, "Connection").start(dba, {"nonsense": "1"})
    assert not Run.objects.exists()


def test_the_refusal_names_another_run_on_the_target(
    deployment: Deployment, dba: User, devops_lead: User
) -> None:
    set_state(deployment, "deploying")
    item(deployment, "Migrations").start(dba)
    with pytest.raises(Refusal, match=r"run \d+ \(migrate\) of Dana Baker on shop is queued"):
        item(deployment, "Migrations").start(devops_lead)


@pytest.mark.parametrize(
    ("ended", "state", "outcome"),
    [
        (RunState.SUCCEEDED, "done", "pass"),
        (RunState.FAILED, "failed", "fail"),
        (RunState.CANCELLED, "open", "error"),
        (RunState.INTERRUPTED, "open", "error"),
        (RunState.UNKNOWN, "open", "pending"),
    ],
)
def test_the_run_outcome_determines_the_item_state(
    deployment: Deployment, dba: User, ended: RunState, state: str, outcome: str
) -> None:
    checklist_item = item(deployment, "Connection")
    finish(checklist_item.start(dba), ended)
    checklist_item.refresh_from_db()
    assert (checklist_item.state, checklist_item.proofs.get().outcome) == (state, outcome)
    assert checklist_item.completions.filter(by=dba).count() == (1 if state == "done" else 0)


def test_deciding_an_unknown_run_settles_its_item(deployment: Deployment, dba: User) -> None:
    checklist_item = item(deployment, "Connection")
    run = checklist_item.start(dba)
    finish(run, RunState.UNKNOWN)
    assert any("was lost, and its outcome is unknown" in b.sentence for b in blockers(deployment, "pre"))
    run.decide(by=dba, outcome="succeeded", note="The database answers.")
    assert Item.objects.get(pk=checklist_item.pk).state == "done"


def test_a_failed_second_run_undoes_the_completion(deployment: Deployment, dba: User) -> None:
    checklist_item = item(deployment, "Connection")
    finish(checklist_item.start(dba), RunState.SUCCEEDED)
    finish(checklist_item.start(dba), RunState.FAILED)
    checklist_item.refresh_from_db()
    assert checklist_item.state == "failed"
    assert checklist_item.completions.get().undone_at is not None
    assert any("has failed" in b.sentence for b in blockers(deployment, "pre"))


def test_a_cancelled_second_run_keeps_the_completion(deployment: Deployment, dba: User) -> None:
    checklist_item = item(deployment, "Connection")
    finish(checklist_item.start(dba), RunState.SUCCEEDED)
    finish(checklist_item.start(dba), RunState.CANCELLED)
    checklist_item.refresh_from_db()
    assert checklist_item.state == "done"


def test_a_claim_is_refused_after_the_deployment_was_halted(deployment: Deployment, dba: User) -> None:
    set_state(deployment, "deploying")
    run = item(deployment, "Migrations").start(dba)
    check_claim(run)
    Deployment.objects.get(pk=deployment.pk).halt(dba, "Wait.")
    with pytest.raises(Refusal, match="halted"):
        check_claim(Run.objects.get(pk=run.pk))


def test_a_claim_is_refused_if_the_requester_lost_the_permission(deployment: Deployment, dba: User) -> None:
    run = item(deployment, "Connection").start(dba)
    dba.grants.all().delete()
    with pytest.raises(NotAllowed):
        check_claim(Run.objects.get(pk=run.pk))


def test_a_run_without_an_item_of_its_deployment_is_not_claimed(deployment: Deployment, dba: User) -> None:
    run = Run.request(
        target=deployment.target, kind="connect", params={}, by=dba, authority=deployment.authority
    )
    with pytest.raises(Refusal, match="has no item for it"):
        check_claim(run)


def test_one_run_proves_all_items_with_the_same_operation_and_role(
    target: Target, dba: User, devops_lead: User, qa_lead: User
) -> None:
    source = factories.SMALL.replace(
        "- [ ] Connection works <!-- operation: connect, role: dba -->",
        "- [ ] Connection works <!-- operation: connect, role: dba -->\n"
        "- [ ] Encryption seen <!-- operation: connect, role: dba -->\n"
        "- [ ] Leads reach it <!-- operation: connect, role: devops_lead -->",
    )
    team = factories.team_of(dba, devops_lead, qa_lead)
    deployment = factories.plan(target, factories.published(source), team)
    run = factories.item(deployment, "Connection works").start(dba)
    factories.finish(run, RunState.SUCCEEDED)
    states = {
        text: factories.item(deployment, text).state
        for text in ("Connection works", "Encryption seen", "Leads reach it")
    }
    assert states == {
        "Connection works": ItemState.DONE,
        "Encryption seen": ItemState.DONE,
        "Leads reach it": ItemState.OPEN,  # it has another role
    }


def test_an_unfinished_run_of_a_done_item_is_a_blocker(deployment: Deployment, dba: User) -> None:
    checklist_item = item(deployment, "Connection")
    finish(checklist_item.start(dba), RunState.SUCCEEDED)
    run = checklist_item.start(dba)
    assert f"“{checklist_item}” is being proven by run {run.pk} (queued); wait for the run to end." in [
        blocker.sentence for blocker in blockers(deployment, "pre")
    ]
    finish(run, RunState.SUCCEEDED)
    assert str(checklist_item) not in " ".join(blocker.sentence for blocker in blockers(deployment, "pre"))


def test_a_deployment_does_not_begin_while_a_run_is_unfinished(deployment: Deployment, dba: User) -> None:
    run = item(deployment, "Connection").start(dba)
    set_state(deployment, "approved")
    with pytest.raises(Refusal, match=rf"Run {run.pk} \(connect\) is queued.*stays approved"):
        Deployment.objects.get(pk=deployment.pk).begin(dba)
    run.cancel(by=dba)
    set_state(deployment, "approved")
    Deployment.objects.get(pk=deployment.pk).begin(dba)


def test_a_missed_end_of_a_run_is_settled_later(
    deployment: Deployment, dba: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    checklist_item = item(deployment, "Connection")
    run = checklist_item.start(dba)
    with monkeypatch.context() as patched:
        patched.setattr(Item, "apply_proof", Mock(side_effect=RuntimeError("a bug")))
        finish(run, RunState.SUCCEEDED)
        assert settle_missed_proofs() == 0
    assert checklist_item.proofs.get().outcome == "pending"

    assert settle_missed_proofs() == 1
    checklist_item.refresh_from_db()
    assert (checklist_item.state, checklist_item.proofs.get().outcome) == ("done", "pass")
    assert settle_missed_proofs() == 0


def test_unfinished_and_unknown_runs_are_not_settled(deployment: Deployment, dba: User) -> None:
    checklist_item = item(deployment, "Connection")
    run = checklist_item.start(dba)
    assert settle_missed_proofs() == 0
    finish(run, RunState.UNKNOWN)
    assert settle_missed_proofs() == 0
    assert checklist_item.proofs.get().outcome == "pending"


def test_a_failed_item_shows_the_reason(deployment: Deployment, dba: User, signed_in: Any) -> None:
    checklist_item = item(deployment, "Connection")
    run = checklist_item.start(dba)
    finish(run, RunState.FAILED, "The server refuses the password.")
    page = signed_in(dba).get(deployment.get_absolute_url()).content.decode()
    assert "The server refuses the password." in page
    assert f"run {run.pk}</a> failed" in page
