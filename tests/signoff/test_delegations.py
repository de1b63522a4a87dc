"""The rules of delegations: end, names in the signature, and one signature per person and gate."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from checklists import readiness
from checklists.models import Deployment
from deployctl.accounts.models import User
from deployctl.accounts.roles import Permission, Role
from deployctl.accounts.testing import enroll
from deployctl.audit.models import Entry
from deployctl.errors import InvalidInput, NotAllowed, Refusal
from signoff import permissions
from signoff.models import Delegation
from signoff.pending_signatures import signable_slots
from tests.checklists import factories
from tests.people import person
from tests.signoff.signing import MACHINE, gate_of, plan_with_gate_rules, sign, slot_of

SignedIn = Callable[..., Client]


def _delegate(deployment: Deployment, to: User, by: User, **changes: object) -> Delegation:
    arguments = {"until": timezone.now() + timedelta(days=1), "note": "On leave."} | changes
    return Delegation.create(slot_of(deployment, Role.DBA), to, by=by, **arguments)  # type: ignore[arg-type]


def test_a_delegates_signature_contains_both_names(deployment: Deployment, dba: User, cto: User) -> None:
    delegation = _delegate(deployment, cto, dba)
    assert signable_slots(cto) == [slot_of(deployment, Role.DBA)]
    signature = sign(deployment, cto, Role.DBA)
    assert (signature.printed_name, signature.for_name) == (cto.name, dba.name)
    assert signature.delegation == delegation
    assert gate_of(deployment).valid_signatures() == [signature]
    assert str(signature).startswith(f"{cto.name}, for {dba.name}")
    assert Entry.objects.get(sequence=signature.audit_sequence).data["on_behalf_of"] == dba.name
    assert Entry.objects.get(sequence=delegation.audit_sequence).data["to"] == cto.name


def test_the_record_of_the_next_gate_contains_both_names(
    deployment: Deployment, dba: User, devops_lead: User, cto: User
) -> None:
    _delegate(deployment, cto, dba)
    sign(deployment, cto, Role.DBA)
    sign(deployment, devops_lead, Role.DEVOPS_LEAD)
    earlier = gate_of(deployment, "post").record()["earlier_signatures"]
    assert [(each["name"], each["on_behalf_of"]) for each in earlier] == [
        (cto.name, dba.name),
        (devops_lead.name, None),
    ]


def test_a_delegator_cannot_sign_after_the_delegate(deployment: Deployment, dba: User, cto: User) -> None:
    deployment.edit(MACHINE, team=[*_team(deployment), (dba, Role.DEVOPS_LEAD)])
    _delegate(deployment, cto, dba)
    sign(deployment, cto, Role.DBA)
    with pytest.raises(NotAllowed, match=f"{cto.name} has already signed this gate for you"):
        sign(deployment, dba, Role.DEVOPS_LEAD)


def test_a_delegate_cannot_sign_after_the_delegator_signed_another_slot(
    deployment: Deployment, dba: User, cto: User
) -> None:
    deployment.edit(MACHINE, team=[*_team(deployment), (dba, Role.DEVOPS_LEAD)])
    _delegate(deployment, cto, dba)
    sign(deployment, dba, Role.DEVOPS_LEAD)
    with pytest.raises(
        NotAllowed, match=f"{dba.name}, for whom you would sign, has already signed this gate"
    ):
        sign(deployment, cto, Role.DBA)


def test_a_person_with_a_slot_in_the_gate_cannot_be_a_delegate(
    deployment: Deployment, dba: User, devops_lead: User, cto: User, app_lead: User
) -> None:
    with pytest.raises(Refusal, match=r"\(DevOps Lead in the team\)"):
        _delegate(deployment, devops_lead, dba)
    other = slot_of(deployment, Role.DEVOPS_LEAD)
    until = timezone.now() + timedelta(hours=1)
    Delegation.create(other, cto, by=devops_lead, until=until)
    with pytest.raises(Refusal, match=rf"\(signs as DevOps Lead for {devops_lead.name}\)"):
        _delegate(deployment, cto, dba)
    sign(deployment, cto, Role.DEVOPS_LEAD)
    with pytest.raises(Refusal, match=r"\(signed as DevOps Lead\)"):
        _delegate(deployment, cto, dba)
    _delegate(deployment, app_lead, dba)


def test_a_delegate_who_gets_an_own_slot_must_sign_there(
    deployment: Deployment, dba: User, devops_lead: User, cto: User
) -> None:
    _delegate(deployment, cto, dba)
    deployment.edit(MACHINE, team=[*_team(deployment), (cto, Role.DEVOPS_LEAD)])
    with pytest.raises(NotAllowed, match="because you are now this deployment's DevOps Lead"):
        sign(deployment, cto, Role.DBA)


def test_a_void_delegation_does_not_cause_a_conflict_of_slots(
    deployment: Deployment, dba: User, devops_lead: User, qa_lead: User, cto: User
) -> None:
    _delegate(deployment, cto, dba)
    team = [(dba, Role.DBA), (cto, Role.DEVOPS_LEAD), (qa_lead, Role.QA_LEAD)]
    deployment.edit(MACHINE, team=team)
    assert "need different people" not in _sentences(deployment)
    sign(deployment, cto, Role.DEVOPS_LEAD)
    sign(deployment, dba, Role.DBA)
    assert gate_of(deployment).is_signed


def test_a_delegate_who_gets_the_role_counts_once(
    dba: User, devops_lead: User, qa_lead: User, cto: User
) -> None:
    team = factories.team_of(dba, devops_lead, qa_lead)
    deployment = plan_with_gate_rules(team, quorum=2)
    _delegate(deployment, cto, dba)
    deployment.edit(MACHINE, team=[*team, (cto, Role.DBA)])
    enroll(dba)
    expected = f"{cto.name} is needed as Database Administrator but has no second factor yet."
    assert expected in _sentences(deployment)
    sign(deployment, cto, Role.DBA)
    sign(deployment, dba, Role.DBA)
    assert slot_of(deployment, Role.DBA).is_full


@pytest.mark.parametrize(
    ("to", "sentence"),
    [("self", "You cannot delegate to yourself"), ("viewer", "does not have the approver permission")],
)
def test_a_delegate_must_be_another_approver(
    deployment: Deployment, dba: User, viewer: User, to: str, sentence: str
) -> None:
    with pytest.raises(Refusal, match=sentence):
        _delegate(deployment, dba if to == "self" else viewer, dba)


def test_only_a_person_with_the_role_can_delegate(deployment: Deployment, cto: User, app_lead: User) -> None:
    with pytest.raises(NotAllowed, match="so you cannot delegate this slot"):
        _delegate(deployment, app_lead, cto)


def test_a_delegate_cannot_delegate(deployment: Deployment, dba: User, cto: User, app_lead: User) -> None:
    _delegate(deployment, cto, dba)
    with pytest.raises(NotAllowed, match="so you cannot delegate this slot"):
        _delegate(deployment, app_lead, cto)


def test_a_slot_is_delegated_to_one_person_at_a_time(
    deployment: Deployment, dba: User, cto: User, app_lead: User
) -> None:
    _delegate(deployment, cto, dba)
    with pytest.raises(NotAllowed, match=f"You have already delegated this slot to {cto.name}"):
        _delegate(deployment, app_lead, dba)


def test_an_excluded_creator_is_neither_delegator_nor_delegate(
    dba: User, devops_lead: User, qa_lead: User, cto: User
) -> None:
    team = factories.team_of(dba, devops_lead, qa_lead)
    deployment = plan_with_gate_rules(team, gate="creator: false", by=dba)
    with pytest.raises(NotAllowed, match="created this deployment"):
        _delegate(deployment, cto, dba)
    slot = slot_of(deployment, Role.DEVOPS_LEAD)
    assert "created this deployment" in permissions.delegate_denied_reason(slot, devops_lead, dba)


@pytest.mark.parametrize(
    ("ahead", "sentence"), [(timedelta(0), "must end in the future"), (timedelta(days=31), "at most 30 days")]
)
def test_a_delegation_ends_in_the_future_and_within_30_days(
    deployment: Deployment, dba: User, cto: User, ahead: timedelta, sentence: str
) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        _delegate(deployment, cto, dba, until=timezone.now() + ahead)


def test_an_expired_delegation_cannot_sign(
    deployment: Deployment, dba: User, cto: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    delegation = _delegate(deployment, cto, dba)
    later = delegation.until + timedelta(seconds=1)
    monkeypatch.setattr("signoff.models.delegation.timezone.now", lambda: later)
    with pytest.raises(NotAllowed, match=rf"has expired\. Ask {dba.name} to renew it"):
        sign(deployment, cto, Role.DBA)


def test_a_revoked_delegation_cannot_sign(deployment: Deployment, dba: User, cto: User) -> None:
    delegation = _delegate(deployment, cto, dba)
    with pytest.raises(NotAllowed, match=f"Only {dba.name} and {cto.name} can revoke"):
        delegation.revoke(by=person("Otto Apart", Permission.APPROVER), reason="No.")
    delegation.revoke(by=dba, reason="I am back.")
    with pytest.raises(NotAllowed, match=r"was revoked: I am back\."):
        sign(deployment, cto, Role.DBA)
    with pytest.raises(Refusal, match="was revoked already"):
        Delegation.objects.get().revoke(by=cto, reason="Twice.")
    sign(deployment, dba, Role.DBA)


@pytest.mark.parametrize("lost", ["the role", "the permission"])
def test_a_delegation_ends_with_the_delegators_role_or_permission(
    deployment: Deployment, dba: User, devops_lead: User, cto: User, lost: str
) -> None:
    _delegate(deployment, cto, dba)
    if lost == "the role":
        deployment.edit(MACHINE, team=[seat for seat in _team(deployment) if seat[0] != dba])
        expected = "is no longer this deployment's Database Administrator"
    else:
        dba.revoke(Permission.APPROVER, by=MACHINE)
        expected = "no longer has the approver permission"
    with pytest.raises(NotAllowed, match=expected):
        sign(deployment, cto, Role.DBA)


def _sentences(deployment: Deployment) -> str:
    return " ".join(blocker.sentence for blocker in readiness.blockers(deployment, "pre"))


def _team(deployment: Deployment) -> list[tuple[User, str]]:
    return [(member.user, member.role) for member in deployment.team.select_related("user")]


def test_a_revoked_delegation_can_be_given_again(
    deployment: Deployment, dba: User, cto: User, app_lead: User
) -> None:
    second = person("Sam Second", Permission.APPROVER)
    deployment.edit(MACHINE, team=[*_team(deployment), (second, Role.DBA)])
    _delegate(deployment, cto, second)
    given = _delegate(deployment, app_lead, dba)
    assert permissions.delegation_denied_reason(slot_of(deployment, Role.DBA), dba) != ""
    given.revoke(by=dba, reason="I am back.")
    assert permissions.delegation_denied_reason(slot_of(deployment, Role.DBA), dba) == ""
