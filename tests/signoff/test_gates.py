"""The gate rules of templates (quorum, creator, required run), and the order of gates."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models import Value
from django.utils import timezone

from checklists import readiness
from checklists.models import Deployment, DeploymentState, ProofKind, ProofOutcome
from deployctl.accounts.models import User
from deployctl.accounts.roles import Permission, Role
from deployctl.accounts.testing import enroll
from deployctl.audit.models import Entry
from deployctl.errors import NotAllowed, Refusal
from deployctl.runs.models import Run, RunState
from signoff.models import GateState
from tests.checklists import factories
from tests.people import person
from tests.signoff.signing import MACHINE, complete_items, gate_of, plan_with_gate_rules, sign, slot_of


@pytest.fixture
def second_dba(db: object) -> User:
    return person("Bea Data", Permission.OPERATOR, Permission.APPROVER)


def _sentences(deployment: Deployment, key: str = "pre") -> str:
    return " ".join(blocker.sentence for blocker in readiness.blockers(deployment, key))


def test_a_slot_with_a_quorum_of_two_is_full_with_the_second_signer(
    dba: User, second_dba: User, devops_lead: User, qa_lead: User
) -> None:
    team = [(second_dba, Role.DBA), *factories.team_of(dba, devops_lead, qa_lead)]
    deployment = plan_with_gate_rules(team, quorum=2)
    sign(deployment, dba, Role.DBA)
    with pytest.raises(NotAllowed, match="needs another person as well"):
        sign(deployment, dba, Role.DBA)
    sign(deployment, devops_lead, Role.DEVOPS_LEAD)
    assert gate_of(deployment).state == GateState.OPEN
    sign(deployment, second_dba, Role.DBA)
    assert gate_of(deployment).state == GateState.SIGNED
    assert slot_of(deployment, Role.DBA).is_full
    deployment.refresh_from_db()
    assert deployment.state == DeploymentState.APPROVED


def test_too_few_people_for_a_quorum_are_named(dba: User, devops_lead: User, qa_lead: User) -> None:
    deployment = plan_with_gate_rules(factories.team_of(dba, devops_lead, qa_lead), quorum=2)
    assert f"Database Administrator needs 2 more people, but only {dba.name} can sign there." in _sentences(
        deployment
    )
    with pytest.raises(Refusal, match="needs 2 more people"):
        sign(deployment, devops_lead, Role.DEVOPS_LEAD)


@pytest.mark.fault(26)
def test_the_creator_cannot_sign_if_the_template_excludes_them(
    dba: User, second_dba: User, devops_lead: User, qa_lead: User, seen: Callable[[str], None]
) -> None:
    team = [(second_dba, Role.DBA), *factories.team_of(dba, devops_lead, qa_lead)]
    deployment = plan_with_gate_rules(team, gate="creator: false", by=dba)
    with pytest.raises(
        NotAllowed, match="created this deployment, and its template requires other people"
    ) as rejected:
        sign(deployment, dba, Role.DBA)
    sign(deployment, second_dba, Role.DBA)
    seen(f"“{rejected.value}”")


def test_the_creator_can_sign_by_default(dba: User, devops_lead: User, qa_lead: User) -> None:
    deployment = plan_with_gate_rules(factories.team_of(dba, devops_lead, qa_lead), by=dba)
    assert sign(deployment, dba, Role.DBA).record["rules"]["creator_may_sign"]


def test_an_excluded_creator_who_alone_has_a_role_is_flagged(
    dba: User, devops_lead: User, qa_lead: User
) -> None:
    deployment = plan_with_gate_rules(
        factories.team_of(dba, devops_lead, qa_lead), gate="creator: false", by=dba
    )
    assert f"Nobody can sign as Database Administrator: {dba.name} created the deployment" in _sentences(
        deployment
    )


def _run(deployment: Deployment, state: RunState, ago: timedelta) -> Run:
    return Run.objects.create(
        kind="test_restore",
        target=deployment.target,
        changes_target=False,
        exclusive=True,
        requested_by_name="Dana Baker",
        state=state,
        finished_at=timezone.now() - ago,
    )


def test_a_gate_is_no_go_without_its_required_run(dba: User, devops_lead: User, qa_lead: User) -> None:
    team = factories.team_of(dba, devops_lead, qa_lead)
    deployment = plan_with_gate_rules(team, gate="requires: test_restore, within: 7d")
    rule = "“Approval” requires a successful run within the last week."
    assert f"“Test restore” has never run on shop. {rule}" in _sentences(deployment)
    old = _run(deployment, RunState.SUCCEEDED, timedelta(days=8))
    assert f"(run {old.pk}). {rule}" in _sentences(deployment)
    with pytest.raises(Refusal, match="Test restore"):
        sign(deployment, dba, Role.DBA)
    fresh = _run(deployment, RunState.SUCCEEDED, timedelta(days=2))
    assert "Test restore" not in _sentences(deployment)
    signature = sign(deployment, dba, Role.DBA)
    assert signature.record["rules"]["requires"] == {"operation": "test_restore", "within_s": 7 * 86400}
    assert Entry.objects.get(sequence=signature.audit_sequence).data["required_run"] == fresh.pk
    failed = _run(deployment, RunState.FAILED, timedelta(hours=1))
    assert f"The newest “Test restore” on shop, run {failed.pk}, failed. {rule}" in _sentences(deployment)


def test_the_second_gate_cannot_be_signed_while_the_approval_is_revoked(
    deployment: Deployment, dba: User, devops_lead: User, qa_lead: User
) -> None:
    approval = sign(deployment, dba, Role.DBA)
    sign(deployment, devops_lead, Role.DEVOPS_LEAD)
    Deployment.objects.get(pk=deployment.pk).begin(dba)
    complete_items(deployment, "deploy", "post")
    Deployment.objects.get(pk=deployment.pk).start_verification(dba)
    approval.revoke(by=dba, reason="The backup was of another day.")
    deployment.refresh_from_db()
    assert deployment.state == DeploymentState.VERIFYING
    with pytest.raises(Refusal, match="“Approval” is not fully signed"):
        sign(deployment, qa_lead, Role.QA_LEAD, "post")
    sign(deployment, dba, Role.DBA)
    assert gate_of(deployment).is_signed
    deployment.refresh_from_db()
    assert deployment.state == DeploymentState.VERIFYING
    sign(deployment, qa_lead, Role.QA_LEAD, "post")
    deployment.refresh_from_db()
    assert deployment.state == DeploymentState.SIGNED_OFF


def test_expired_proofs_do_not_block_an_approval_after_the_beginning(
    deployment: Deployment, dba: User, devops_lead: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    factories.item(deployment, "Server").proofs.create(
        kind=ProofKind.CHECK,
        outcome=ProofOutcome.PASS,
        by_name="check",
        valid_until=timezone.now() + timedelta(hours=1),
    )
    approval = sign(deployment, dba, Role.DBA)
    sign(deployment, devops_lead, Role.DEVOPS_LEAD)
    approved = Deployment.objects.get(pk=deployment.pk)
    later = timezone.now() + timedelta(hours=2)
    monkeypatch.setattr("checklists.models.item_queries.Now", lambda: Value(later))
    assert "The proof of “Server is there” expired on" in _sentences(approved)
    approved.begin(dba)
    approval.revoke(by=dba, reason="I want to look once more.")
    assert "“Server is there”" not in _sentences(approved)
    sign(approved, dba, Role.DBA)
    assert gate_of(approved).is_signed


def test_a_signer_without_second_factor_is_flagged_but_does_not_block(
    deployment: Deployment, dba: User, devops_lead: User
) -> None:
    flag = f"{devops_lead.name} is needed as DevOps Lead but has no second factor yet."
    assert flag in _sentences(deployment)
    sign(deployment, dba, Role.DBA)
    enroll(devops_lead)
    assert readiness.blockers(deployment, "pre") == []


def test_one_person_for_two_slots_is_flagged(dba: User, qa_lead: User) -> None:
    deployment = plan_with_gate_rules([(dba, Role.DBA), (dba, Role.DEVOPS_LEAD), (qa_lead, Role.QA_LEAD)])
    assert (
        "Database Administrator and DevOps Lead need different people, but only "
        f"{dba.name} can sign there." in _sentences(deployment)
    )


@pytest.mark.parametrize("lost", ["the permission", "the account", "the role"])
def test_a_slot_whose_only_person_cannot_sign_is_flagged(
    deployment: Deployment, dba: User, devops_lead: User, qa_lead: User, lost: str
) -> None:
    if lost == "the permission":
        dba.revoke(Permission.APPROVER, by=MACHINE)
        expected = f"Nobody can sign as Database Administrator: {dba.name} lacks the approver permission."
    elif lost == "the account":
        dba.disable(by=MACHINE)
        expected = f"Nobody can sign as Database Administrator: {dba.name} is disabled."
    else:
        deployment.edit(MACHINE, team=[(devops_lead, Role.DEVOPS_LEAD), (qa_lead, Role.QA_LEAD)])
        expected = "Nobody can sign as Database Administrator: nobody in the team has this role."
    assert expected in _sentences(Deployment.objects.get(pk=deployment.pk))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE signoff_slot SET quorum = 1",
        "UPDATE signoff_gate SET creator_may_sign = true",
        "DELETE FROM signoff_gate",
        "DELETE FROM signoff_signaturerevocation",
        "UPDATE signoff_delegation SET until = now()",
        "DELETE FROM signoff_delegationrevocation",
        "TRUNCATE signoff_reminder",
    ],
)
def test_the_database_prevents_changing_gate_rules_and_revocations(
    deployment: Deployment, statement: str
) -> None:
    with (
        pytest.raises(DatabaseError, match="never changed or removed"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
