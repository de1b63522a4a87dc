"""Readiness of a gate: expired proofs are blockers."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from checklists import readiness
from checklists.models import Deployment, Proof, ProofOutcome
from checklists.presenters import DeploymentPage
from deployctl.accounts.models import User
from tests.checklists.factories import MACHINE, item


def _proof(deployment: Deployment, text: str, hours: float, outcome: str = ProofOutcome.PASS) -> Proof:
    return Proof.objects.create(
        item=item(deployment, text),
        kind="check",
        outcome=outcome,
        by_name="check",
        valid_until=timezone.now() + timedelta(hours=hours),
    )


def _sentences(deployment: Deployment, viewer: User) -> str:
    """Return the blockers; those of the page must be the same as those of `readiness.blockers`."""
    fresh = [blocker.sentence for blocker in readiness.blockers(deployment, "pre")]
    page = DeploymentPage(Deployment.objects.for_page().get(pk=deployment.pk), viewer)
    assert [blocker.sentence for blocker in page.blockers] == fresh
    return " ".join(fresh)


def test_an_item_with_an_expired_proof_is_a_blocker(deployment: Deployment, dba: User) -> None:
    item(deployment, "Server").complete(MACHINE)
    assert "Server is there" not in _sentences(deployment, dba)
    proof = _proof(deployment, "Server", -1)
    # The item was completed by hand after the proof expired.
    assert "Server is there" not in _sentences(deployment, dba)
    Proof.objects.filter(pk=proof.pk).update(valid_until=timezone.now())
    sentences = _sentences(deployment, dba)
    assert "The proof of “Server is there” expired on" in sentences
    assert "; prove it again." in sentences
    _proof(deployment, "Server", 1)
    assert "Server is there" not in _sentences(deployment, dba)


@pytest.mark.parametrize("outcome", [ProofOutcome.FAIL, ProofOutcome.NOT_MEASURABLE])
def test_only_passed_proofs_expire(deployment: Deployment, dba: User, outcome: str) -> None:
    item(deployment, "Server").complete(MACHINE)
    _proof(deployment, "Server", -1, outcome)
    assert "Server is there" not in _sentences(deployment, dba)
