"""Somebody signs in another's slot: with an end, with both names, and never with two says."""

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
from signoff.pending_signatures import slots_waiting_for
from tests.checklists import factories
from tests.people import person
from tests.signoff.signing import MACHINE, gate_of, plan_by_rules, sign, slot_of

SignedIn = Callable[..., Client]


def _give(deployment: Deployment, to: User, by: User, **changes: object) -> Delegation:
    given = {"until": timezone.now() + timedelta(days=1), "note": "On leave."} | changes
    return Delegation.give(slot_of(deployment, Role.DBA), to, by=by, **given)  # type: ignore[arg-type]


def test_both_names_stand_in_the_signature(deployment: Deployment, dba: User, cto: User) -> None:
    given = _give(deployment, cto, dba)
    assert slots_waiting_for(cto) == [slot_of(deployment, Role.DBA)]
    signature = sign(deployment, cto, Role.DBA)
    assert (signature.printed_name, signature.for_name) == (cto.name, dba.name)
    assert signature.delegation == given
    assert gate_of(deployment).valid_signatures() == [signature]
    assert str(signature).startswith(f"{cto.name}, for {dba.name}")
    assert Entry.objects.get(sequence=signature.audit_sequence).data["for"] == dba.name
    assert Entry.objects.get(sequence=given.audit_sequence).data["to"] == cto.name


def test_the_record_of_the_next_gate_prints_both(
    deployment: Deployment, dba: User, devops_lead: User, cto: User
) -> None:
    _give(deployment, cto, dba)
    sign(deployment, cto, Role.DBA)
    sign(deployment, devops_lead, Role.DEVOPS_LEAD)
    earlier = gate_of(deployment, "post").record()["earlier_signatures"]
    assert [(each["name"], each["for"]) for each in earlier] == [
        (cto.name, dba.name),
        (devops_lead.name, None),
    ]


def test_nobody_has_two_says(deployment: Deployment, dba: User, cto: User) -> None:
    deployment.edit(MACHINE, team=[*_team(deployment), (dba, Role.DEVOPS_LEAD)])
    _give(deployment, cto, dba)
    sign(deployment, cto, Role.DBA)
    with pytest.raises(NotAllowed, match=f"{cto.name} already signed this gate for you"):
        sign(deployment, dba, Role.DEVOPS_LEAD)


def test_who_signed_elsewhere_has_no_say_left_to_give_through_another(
    deployment: Deployment, dba: User, cto: User
) -> None:
    deployment.edit(MACHINE, team=[*_team(deployment), (dba, Role.DEVOPS_LEAD)])
    _give(deployment, cto, dba)
    sign(deployment, dba, Role.DEVOPS_LEAD)
    with pytest.raises(NotAllowed, match=f"{dba.name}, for whom you would sign, has a say"):
        sign(deployment, cto, Role.DBA)


def test_a_place_goes_to_nobody_who_holds_another_of_the_gate(
    deployment: Deployment, dba: User, devops_lead: User, cto: User, app_lead: User
) -> None:
    with pytest.raises(Refusal, match="they are DevOps Lead in its team"):
        _give(deployment, devops_lead, dba)
    other = slot_of(deployment, Role.DEVOPS_LEAD)
    until = timezone.now() + timedelta(hours=1)
    Delegation.give(other, cto, by=devops_lead, until=until)
    with pytest.raises(Refusal, match=f"they sign as DevOps Lead for {devops_lead.name}"):
        _give(deployment, cto, dba)
    sign(deployment, cto, Role.DEVOPS_LEAD)
    with pytest.raises(Refusal, match="they signed as DevOps Lead"):
        _give(deployment, cto, dba)
    _give(deployment, app_lead, dba)


def test_who_got_a_place_of_their_own_meanwhile_signs_there(
    deployment: Deployment, dba: User, devops_lead: User, cto: User
) -> None:
    _give(deployment, cto, dba)
    deployment.edit(MACHINE, team=[*_team(deployment), (cto, Role.DEVOPS_LEAD)])
    with pytest.raises(NotAllowed, match="you are this deployment's DevOps Lead yourself by now"):
        sign(deployment, cto, Role.DBA)


def test_who_cannot_sign_for_another_any_more_takes_nobodys_place(
    deployment: Deployment, dba: User, devops_lead: User, qa_lead: User, cto: User
) -> None:
    _give(deployment, cto, dba)
    team = [(dba, Role.DBA), (cto, Role.DEVOPS_LEAD), (qa_lead, Role.QA_LEAD)]
    deployment.edit(MACHINE, team=team)
    assert "need different people" not in _sentences(deployment)
    sign(deployment, cto, Role.DEVOPS_LEAD)
    sign(deployment, dba, Role.DBA)
    assert gate_of(deployment).is_signed


def test_of_two_who_have_the_role_one_who_was_to_sign_for_the_other_counts_once(
    dba: User, devops_lead: User, qa_lead: User, cto: User
) -> None:
    team = factories.team_of(dba, devops_lead, qa_lead)
    deployment = plan_by_rules(team, quorum=2)
    _give(deployment, cto, dba)
    deployment.edit(MACHINE, team=[*team, (cto, Role.DBA)])
    enroll(dba)
    told = _sentences(deployment)
    assert f"{cto.name} has no second factor yet and is needed as Database Administrator." in told
    sign(deployment, cto, Role.DBA)
    sign(deployment, dba, Role.DBA)
    assert slot_of(deployment, Role.DBA).is_full


@pytest.mark.parametrize(
    ("to", "sentence"),
    [("self", "You cannot let yourself sign"), ("viewer", "does not have the approver permission")],
)
def test_a_place_goes_to_nobody_who_could_not_sign(
    deployment: Deployment, dba: User, viewer: User, to: str, sentence: str
) -> None:
    with pytest.raises(Refusal, match=sentence):
        _give(deployment, dba if to == "self" else viewer, dba)


def test_only_who_holds_a_place_gives_it(deployment: Deployment, cto: User, app_lead: User) -> None:
    with pytest.raises(NotAllowed, match="so this slot is not yours to give"):
        _give(deployment, app_lead, cto)


def test_who_holds_a_place_for_another_does_not_pass_it_on(
    deployment: Deployment, dba: User, cto: User, app_lead: User
) -> None:
    _give(deployment, cto, dba)
    with pytest.raises(NotAllowed, match="not yours to give"):
        _give(deployment, app_lead, cto)


def test_a_place_is_given_once(deployment: Deployment, dba: User, cto: User, app_lead: User) -> None:
    _give(deployment, cto, dba)
    with pytest.raises(NotAllowed, match=f"You let {cto.name} sign here already"):
        _give(deployment, app_lead, dba)


def test_where_the_creator_does_not_sign_they_have_nothing_to_give_and_nothing_to_take(
    dba: User, devops_lead: User, qa_lead: User, cto: User
) -> None:
    team = factories.team_of(dba, devops_lead, qa_lead)
    deployment = plan_by_rules(team, gate="creator: false", by=dba)
    with pytest.raises(NotAllowed, match="created this deployment"):
        _give(deployment, cto, dba)
    slot = slot_of(deployment, Role.DEVOPS_LEAD)
    assert "created this deployment" in permissions.delegate_denied_reason(slot, devops_lead, dba)


@pytest.mark.parametrize(
    ("ahead", "sentence"), [(timedelta(0), "would be over already"), (timedelta(days=31), "at most 30 days")]
)
def test_the_end_lies_ahead_and_not_too_far(
    deployment: Deployment, dba: User, cto: User, ahead: timedelta, sentence: str
) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        _give(deployment, cto, dba, until=timezone.now() + ahead)


def test_a_delegation_that_has_ended_signs_nothing(
    deployment: Deployment, dba: User, cto: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = _give(deployment, cto, dba)
    later = given.until + timedelta(seconds=1)
    monkeypatch.setattr("signoff.models.delegation.timezone.now", lambda: later)
    with pytest.raises(NotAllowed, match=r"that has ended\. Ask for it again"):
        sign(deployment, cto, Role.DBA)


def test_a_withdrawn_delegation_signs_nothing(deployment: Deployment, dba: User, cto: User) -> None:
    given = _give(deployment, cto, dba)
    with pytest.raises(NotAllowed, match=f"Only {dba.name}, who gave this slot"):
        given.withdraw(by=person_apart(), reason="No.")
    given.withdraw(by=dba, reason="I am back.")
    with pytest.raises(NotAllowed, match=r"that was withdrawn: I am back\."):
        sign(deployment, cto, Role.DBA)
    with pytest.raises(Refusal, match="was withdrawn already"):
        Delegation.objects.get().withdraw(by=cto, reason="Twice.")
    sign(deployment, dba, Role.DBA)


def person_apart() -> User:
    from tests.people import person

    return person("Otto Apart", Permission.APPROVER)


@pytest.mark.parametrize("lost", ["the role", "the permission"])
def test_a_delegation_ends_with_what_it_rests_on(
    deployment: Deployment, dba: User, devops_lead: User, cto: User, lost: str
) -> None:
    _give(deployment, cto, dba)
    if lost == "the role":
        deployment.edit(MACHINE, team=[seat for seat in _team(deployment) if seat[0] != dba])
        told = "is no longer this deployment's Database Administrator"
    else:
        dba.revoke(Permission.APPROVER, by=MACHINE)
        told = "may no longer sign"
    with pytest.raises(NotAllowed, match=told):
        sign(deployment, cto, Role.DBA)


def _sentences(deployment: Deployment) -> str:
    return " ".join(blocker.sentence for blocker in readiness.blockers(deployment, "pre"))


def _team(deployment: Deployment) -> list[tuple[User, str]]:
    return [(member.user, member.role) for member in deployment.team.select_related("user")]


def test_a_withdrawn_delegation_can_be_given_again(
    deployment: Deployment, dba: User, cto: User, app_lead: User
) -> None:
    second = person("Sam Second", Permission.APPROVER)
    deployment.edit(MACHINE, team=[*_team(deployment), (second, Role.DBA)])
    _give(deployment, cto, second)
    given = _give(deployment, app_lead, dba)
    assert permissions.delegation_denied_reason(slot_of(deployment, Role.DBA), dba) != ""
    given.withdraw(by=dba, reason="I am back.")
    assert permissions.delegation_denied_reason(slot_of(deployment, Role.DBA), dba) == ""
