"""A signature is taken back by its signer, by another row, and what rests on it opens again."""

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
from tests.signoff.signing import MACHINE, gate_of, keep_everything, sign

SignedIn = Callable[..., Client]


@pytest.fixture
def approved(deployment: Deployment, dba: User, devops_lead: User) -> Deployment:
    sign(deployment, dba, Role.DBA)
    sign(deployment, devops_lead, Role.DEVOPS_LEAD)
    return Deployment.objects.get(pk=deployment.pk)


def _of(user: User) -> Signature:
    return Signature.objects.filter(signer=user).latest("pk")


def test_withdrawing_opens_the_gate_and_returns_the_deployment_to_planning(
    approved: Deployment, dba: User
) -> None:
    _of(dba).withdraw(by=dba, reason="The plan lacks a step.")
    approved.refresh_from_db()
    assert approved.state == DeploymentState.PLANNING
    assert gate_of(approved).state == GateState.OPEN
    signature = _of(dba)
    assert (signature.is_withdrawn, signature.is_stale, signature.is_valid) == (True, False, False)
    assert signature.withdrawal.reason == "The plan lacks a step."
    actions = set(Entry.objects.of_deployment(approved.pk).values_list("action", flat=True))
    assert {"signature.revoked", "gate.reopened", "deployment.reopened"} <= actions
    sign(approved, dba, Role.DBA)
    assert gate_of(approved).state == GateState.SIGNED


def test_the_other_signatures_of_the_gate_stay(approved: Deployment, dba: User, devops_lead: User) -> None:
    _of(dba).withdraw(by=dba, reason="Not yet.")
    assert _of(devops_lead).is_valid


def test_only_the_signer_withdraws(approved: Deployment, dba: User, devops_lead: User) -> None:
    with pytest.raises(NotAllowed, match=f"Only {dba.name} may withdraw"):
        _of(dba).withdraw(by=devops_lead, reason="I know better.")
    assert gate_of(approved).is_signed


def test_a_reason_is_needed(approved: Deployment, dba: User) -> None:
    with pytest.raises(InvalidInput, match="needs a reason"):
        _of(dba).withdraw(by=dba, reason=" ")


def test_nothing_is_withdrawn_twice(approved: Deployment, dba: User) -> None:
    before = _of(dba)
    _of(dba).withdraw(by=dba, reason="Not yet.")
    with pytest.raises(Refusal, match="has withdrawn this signature already"):
        before.withdraw(by=dba, reason="Once more.")
    assert Entry.objects.filter(action="signature.revoked").count() == 1


def test_a_stale_signature_needs_no_withdrawal(approved: Deployment, dba: User) -> None:
    approved.edit(MACHINE, rollback_plan="Another plan.")
    with pytest.raises(Refusal, match="no longer stands"):
        _of(dba).withdraw(by=dba, reason="Not this plan.")


def test_the_signatures_of_a_deployment_that_has_ended_stay(approved: Deployment, dba: User) -> None:
    approved.cancel(MACHINE, "Not this year.")
    with pytest.raises(Refusal, match="is cancelled and no longer changes"):
        _of(dba).withdraw(by=dba, reason="Not this year.")


def test_a_withdrawn_approval_breaks_what_was_signed_over_it(
    approved: Deployment, dba: User, qa_lead: User
) -> None:
    approved.begin(dba)
    keep_everything(approved, "deploy", "post")
    approved.start_verification(dba)
    sign(approved, qa_lead, Role.QA_LEAD, "post")
    _of(dba).withdraw(by=dba, reason="It was the wrong window.")
    approved.refresh_from_db()
    assert approved.state == DeploymentState.VERIFYING
    assert not gate_of(approved, "pre").is_signed
    assert not gate_of(approved, "post").is_signed
    assert "withdrew the signature: It was the wrong window." in _of(qa_lead).staleness.change


def test_the_page_withdraws_and_shows_the_broken_line(
    approved: Deployment, dba: User, devops_lead: User, signed_in: SignedIn
) -> None:
    client = signed_in(dba)
    address = reverse("signoff:gate", args=[approved.pk, "pre"])
    mine, other = _of(dba), _of(devops_lead)
    page = client.get(address).content.decode()
    assert f'id="withdraw-{mine.pk}"' in page
    assert f'id="withdraw-{other.pk}"' not in page
    refused = client.post(reverse("signoff:signature_withdrawal", args=[other.pk]), {"reason": "No."})
    assert refused.status_code == 403
    client.post(reverse("signoff:signature_withdrawal", args=[mine.pk]), {"reason": "Not yet."})
    page = html.unescape(client.get(address).content.decode())
    assert "signature--broken" in page
    assert "Withdrawn</span> Not yet." in page


def test_withdrawing_asks_for_a_fresh_code(approved: Deployment, dba: User, signed_in: SignedIn) -> None:
    client = signed_in(dba, code=False)
    answer = client.post(reverse("signoff:signature_withdrawal", args=[_of(dba).pk]), {"reason": "Not yet."})
    assert answer.headers["Location"].startswith(reverse("accounts:step_up"))
    assert _of(dba).is_valid
    assert factories.item(approved, "Server").state == "done"
