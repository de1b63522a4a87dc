"""Signers revoke their signatures, and the gates that depend on them open again."""

from __future__ import annotations

import html
from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from checklists.models import Deployment, DeploymentState
from deployctl.accounts.models import User
from deployctl.accounts.roles import Role
from deployctl.audit.models import Entry
from deployctl.errors import InvalidInput, NotAllowed, Refusal
from signoff.models import GateState, Signature
from tests.checklists import factories
from tests.signoff.signing import MACHINE, complete_items, gate_of, sign

SignedIn = Callable[..., Client]


@pytest.fixture
def approved(deployment: Deployment, dba: User, devops_lead: User) -> Deployment:
    sign(deployment, dba, Role.DBA)
    sign(deployment, devops_lead, Role.DEVOPS_LEAD)
    return Deployment.objects.get(pk=deployment.pk)


def _of(user: User) -> Signature:
    return Signature.objects.filter(signer=user).latest("pk")


def test_revoking_opens_the_gate_and_returns_to_planning(approved: Deployment, dba: User) -> None:
    _of(dba).revoke(by=dba, reason="The plan lacks a step.")
    approved.refresh_from_db()
    assert approved.state == DeploymentState.PLANNING
    assert gate_of(approved).state == GateState.OPEN
    signature = _of(dba)
    assert (signature.is_revoked, signature.is_stale, signature.is_valid) == (True, False, False)
    assert signature.revocation.reason == "The plan lacks a step."
    actions = set(Entry.objects.of_deployment(approved.pk).values_list("action", flat=True))
    assert {"signature.revoked", "gate.reopened", "deployment.reopened"} <= actions
    sign(approved, dba, Role.DBA)
    assert gate_of(approved).state == GateState.SIGNED


def test_other_signatures_of_the_gate_stay_valid(approved: Deployment, dba: User, devops_lead: User) -> None:
    _of(dba).revoke(by=dba, reason="Not yet.")
    assert _of(devops_lead).is_valid


def test_only_the_signer_can_revoke(approved: Deployment, dba: User, devops_lead: User) -> None:
    with pytest.raises(NotAllowed, match=f"Only {dba.name} can revoke"):
        _of(dba).revoke(by=devops_lead, reason="I know better.")
    assert gate_of(approved).is_signed


def test_revoking_requires_a_reason(approved: Deployment, dba: User) -> None:
    with pytest.raises(InvalidInput, match="needs a reason"):
        _of(dba).revoke(by=dba, reason=" ")


def test_a_signature_cannot_be_revoked_twice(approved: Deployment, dba: User) -> None:
    before = _of(dba)
    _of(dba).revoke(by=dba, reason="Not yet.")
    with pytest.raises(Refusal, match="has already revoked this signature"):
        before.revoke(by=dba, reason="Once more.")
    assert Entry.objects.filter(action="signature.revoked").count() == 1


def test_a_stale_signature_cannot_be_revoked(approved: Deployment, dba: User) -> None:
    approved.edit(MACHINE, rollback_plan="Another plan.")
    with pytest.raises(Refusal, match="This signature is stale"):
        _of(dba).revoke(by=dba, reason="Not this plan.")


def test_signatures_of_an_ended_deployment_cannot_be_revoked(approved: Deployment, dba: User) -> None:
    approved.cancel(MACHINE, "Not this year.")
    with pytest.raises(Refusal, match="is cancelled and no longer changes"):
        _of(dba).revoke(by=dba, reason="Not this year.")


def test_revoking_an_approval_makes_later_signatures_stale(
    approved: Deployment, dba: User, qa_lead: User
) -> None:
    approved.begin(dba)
    complete_items(approved, "deploy", "post")
    approved.start_verification(dba)
    sign(approved, qa_lead, Role.QA_LEAD, "post")
    _of(dba).revoke(by=dba, reason="It was the wrong window.")
    approved.refresh_from_db()
    assert approved.state == DeploymentState.VERIFYING
    assert not gate_of(approved, "pre").is_signed
    assert not gate_of(approved, "post").is_signed
    assert "revoked a signature: It was the wrong window." in _of(qa_lead).staleness.change


def test_the_page_revokes_and_shows_the_revoked_signature(
    approved: Deployment, dba: User, devops_lead: User, signed_in: SignedIn
) -> None:
    client = signed_in(dba)
    address = reverse("signoff:gate", args=[approved.pk, "pre"])
    own, other = _of(dba), _of(devops_lead)
    page = client.get(address).content.decode()
    assert f'id="revoke-{own.pk}"' in page
    assert f'id="revoke-{other.pk}"' not in page
    rejected = client.post(reverse("signoff:signature_revocation", args=[other.pk]), {"reason": "No."})
    assert rejected.status_code == 403
    client.post(reverse("signoff:signature_revocation", args=[own.pk]), {"reason": "Not yet."})
    page = html.unescape(client.get(address).content.decode())
    assert "signature--broken" in page
    assert "Revoked</span> Not yet." in page


def test_revoking_requires_a_fresh_code(approved: Deployment, dba: User, signed_in: SignedIn) -> None:
    client = signed_in(dba, code=False)
    response = client.post(
        reverse("signoff:signature_revocation", args=[_of(dba).pk]), {"reason": "Not yet."}
    )
    assert response.headers["Location"].startswith(reverse("accounts:step_up"))
    assert _of(dba).is_valid
    assert factories.item(approved, "Server").state == "done"
