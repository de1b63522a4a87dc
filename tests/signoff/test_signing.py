from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import DatabaseError, connection, transaction

from checklists.models import Deployment, DeploymentState
from deployctl.accounts.errors import WrongCode, WrongPassword
from deployctl.accounts.models import RecoveryCode, User
from deployctl.accounts.roles import Permission, Role
from deployctl.accounts.testing import current_code, enroll, wrong_code
from deployctl.audit.models import Entry
from deployctl.errors import InvalidInput, NotAllowed, Refusal
from signoff import record as records
from signoff.models import GateState, Signature
from tests.checklists import factories
from tests.signoff.signing import MACHINE, complete_items, gate_of, sign, slot_of


def test_the_last_signature_of_the_first_gate_approves_the_deployment(
    deployment: Deployment, dba: User, devops_lead: User
) -> None:
    sign(deployment, dba, Role.DBA)
    deployment.refresh_from_db()
    assert deployment.state == DeploymentState.PLANNING
    sign(deployment, devops_lead, Role.DEVOPS_LEAD)
    deployment.refresh_from_db()
    assert deployment.state == DeploymentState.APPROVED
    assert gate_of(deployment).state == GateState.SIGNED


def test_a_signature_contains_name_role_meaning_time_method_and_digest(
    deployment: Deployment, dba: User
) -> None:
    digest = records.digest(gate_of(deployment).record())
    signature = sign(deployment, dba, Role.DBA)
    signature.refresh_from_db()
    assert signature.printed_name == dba.name
    assert signature.role == Role.DBA
    assert signature.meaning == "I approve this deployment for production."
    assert signature.signed_at.tzinfo is not None
    assert signature.timezone == dba.timezone
    assert signature.method == "password and one-time code"
    assert signature.record_digest == digest == records.digest(signature.record)
    entry = Entry.objects.get(sequence=signature.audit_sequence)
    assert entry.data["digest"] == digest
    assert entry.actor == dba


def test_a_wrong_code_is_rejected_and_counted(deployment: Deployment, dba: User) -> None:
    enroll(dba)
    with pytest.raises(WrongCode):
        sign(deployment, dba, Role.DBA, code=wrong_code(dba))
    assert not Signature.objects.exists()
    assert Entry.objects.filter(action="factor.rejected", actor=dba).exists()
    assert dba.totp_factor is not None
    assert dba.totp_factor.throttling_failure_count == 1


def test_a_wrong_password_is_rejected(deployment: Deployment, dba: User) -> None:
    with pytest.raises(WrongPassword):
        sign(deployment, dba, Role.DBA, password="guessed")
    assert not Signature.objects.exists()


def test_a_code_can_be_used_once(deployment: Deployment, dba: User, devops_lead: User) -> None:
    enroll(dba)
    code = current_code(dba)
    dba.verify_code(code)
    with pytest.raises(WrongCode, match="used already"):
        sign(deployment, dba, Role.DBA, code=code)


def test_a_recovery_code_cannot_sign(deployment: Deployment, dba: User) -> None:
    enroll(dba)
    code = RecoveryCode.objects.renew(dba)[0]
    with pytest.raises(WrongCode):
        sign(deployment, dba, Role.DBA, code=code)


@pytest.mark.fault(26)
def test_nobody_signs_two_slots_of_a_gate(
    deployment: Deployment, dba: User, seen: Callable[[str], None]
) -> None:
    deployment.edit(MACHINE, team=[*_team(deployment), (dba, Role.DEVOPS_LEAD)])
    sign(deployment, dba, Role.DBA)
    with pytest.raises(NotAllowed, match="Each slot needs a different person"):
        sign(deployment, dba, Role.DEVOPS_LEAD)
    seen("“Each slot needs a different person”")


def test_only_a_person_with_the_role_can_sign(deployment: Deployment, cto: User) -> None:
    with pytest.raises(NotAllowed, match="You are not this deployment's Database Administrator"):
        sign(deployment, cto, Role.DBA)


def test_signing_requires_the_approver_permission(deployment: Deployment, dba: User) -> None:
    dba.revoke(Permission.APPROVER, by=MACHINE)
    with pytest.raises(NotAllowed, match="approver permission"):
        sign(deployment, dba, Role.DBA)


def test_a_full_slot_cannot_be_signed(deployment: Deployment, dba: User) -> None:
    sign(deployment, dba, Role.DBA)
    with pytest.raises(NotAllowed, match="has already signed"):
        sign(deployment, dba, Role.DBA)


def test_a_record_that_changed_after_it_was_shown_is_not_signed(deployment: Deployment, dba: User) -> None:
    shown = records.digest(gate_of(deployment).record())
    deployment.edit(MACHINE, rollback_plan="Restore, then call everybody.")
    with pytest.raises(Refusal, match="record changed"):
        sign(deployment, dba, Role.DBA, digest=shown)
    assert not Signature.objects.exists()


def test_a_gate_with_blockers_cannot_be_signed(deployment: Deployment, dba: User) -> None:
    factories.item(deployment, "Server is there").undo(MACHINE)
    with pytest.raises(Refusal, match="Server is there"):
        sign(deployment, dba, Role.DBA)


def test_the_second_gate_waits_for_verification(deployment: Deployment, qa_lead: User) -> None:
    with pytest.raises(NotAllowed, match=r"while the deployment is verifying\. It is planning now"):
        sign(deployment, qa_lead, Role.QA_LEAD, "post")


def test_a_change_makes_signatures_stale_and_returns_to_planning(
    deployment: Deployment, dba: User, devops_lead: User
) -> None:
    first = sign(deployment, dba, Role.DBA)
    sign(deployment, devops_lead, Role.DEVOPS_LEAD)
    deployment.refresh_from_db()
    factories.item(deployment, "Server is there").undo(dba)
    deployment.refresh_from_db()
    first.refresh_from_db()
    assert deployment.state == DeploymentState.PLANNING
    assert gate_of(deployment).state == GateState.OPEN
    assert first.is_stale
    assert "Server is there" in first.staleness.change
    assert first.staleness.by_name == dba.name


def test_the_first_of_two_signatures_can_become_stale(deployment: Deployment, dba: User) -> None:
    signature = sign(deployment, dba, Role.DBA)
    deployment.edit(MACHINE, rollback_plan="Another plan.")
    signature.refresh_from_db()
    assert signature.is_stale
    again = sign(deployment, dba, Role.DBA)
    assert not again.is_stale


def test_changes_outside_the_gates_do_not_make_signatures_stale(deployment: Deployment, dba: User) -> None:
    signature = sign(deployment, dba, Role.DBA)
    factories.item(deployment, "Reviewed the logs").complete(MACHINE)
    signature.refresh_from_db()
    assert not signature.is_stale


def test_signing_both_gates_signs_off_the_deployment(
    deployment: Deployment, dba: User, devops_lead: User, qa_lead: User
) -> None:
    sign(deployment, dba, Role.DBA)
    sign(deployment, devops_lead, Role.DEVOPS_LEAD)
    deployment.refresh_from_db()
    deployment.begin(dba)
    complete_items(deployment, "deploy", "post")
    deployment.start_verification(dba)
    signature = sign(deployment, qa_lead, Role.QA_LEAD, "post")
    deployment.refresh_from_db()
    assert deployment.state == DeploymentState.SIGNED_OFF
    earlier = signature.record["earlier_signatures"]
    assert [each["name"] for each in earlier] == [dba.name, devops_lead.name]
    factories.item(deployment, "Users can sign in").undo(qa_lead)
    deployment.refresh_from_db()
    assert deployment.state == DeploymentState.VERIFYING


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE signoff_signature SET printed_name = 'Somebody else'",
        "DELETE FROM signoff_signature",
        "TRUNCATE signoff_signature CASCADE",
    ],
)
def test_the_database_prevents_changing_a_signature(
    deployment: Deployment, dba: User, statement: str
) -> None:
    sign(deployment, dba, Role.DBA)
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_a_template_without_signature_lines_is_rejected(dba: User) -> None:
    version = factories.published("# Short\n\n## Day\n- [ ] Something\n", slug="short")
    with pytest.raises(Refusal, match="could never be signed"):
        factories.plan(factories.a_target(), version, [(dba, Role.DBA)])
    assert not Deployment.objects.exists()


def _team(deployment: Deployment) -> list[tuple[User, str]]:
    return [(member.user, member.role) for member in deployment.team.select_related("user")]


def test_slots_are_the_templates_signature_lines(deployment: Deployment) -> None:
    assert slot_of(deployment, Role.DBA).label == "Database Administrator"
    assert [slot.role for slot in gate_of(deployment).slots.all()] == [Role.DBA, Role.DEVOPS_LEAD]


def test_all_valid_signatures_of_a_gate_cover_the_same_record(
    deployment: Deployment, dba: User, devops_lead: User
) -> None:
    sign(deployment, dba, Role.DBA)
    User.objects.get(pk=dba.pk).edit(by=dba, name="Dana Baker-Jones")
    sign(deployment, devops_lead, Role.DEVOPS_LEAD)
    assert [signature.is_stale for signature in Signature.objects.order_by("pk")] == [True, False]
    assert not gate_of(deployment).is_signed
    sign(deployment, User.objects.get(pk=dba.pk), Role.DBA)
    assert gate_of(deployment).is_signed
    assert len({signature.record_digest for signature in Signature.objects.valid()}) == 1


@pytest.mark.parametrize("wrong", [{"password": "guessed"}, {"code": "12345"}])
def test_a_rejected_signature_is_in_the_deployments_history(
    deployment: Deployment, dba: User, wrong: dict[str, str]
) -> None:
    with pytest.raises(InvalidInput) as rejected:
        sign(deployment, dba, Role.DBA, **wrong)
    entry = Entry.objects.of_deployment(deployment.pk).get(action="signature.rejected")
    assert (entry.actor, entry.data["role"]) == (dba, "dba")
    assert entry.data["reason"] == rejected.value.message
