"""Readiness of a gate: expired proofs are blockers."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from checklists import readiness
from checklists.models import Deployment, Item, ItemState, Proof, ProofOutcome
from checklists.presenters import DeploymentPage
from deployctl.accounts.models import User
from deployctl.runs.models import Run, RunState
from tests.checklists.factories import MACHINE, a_target, item, plan


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


def test_a_lost_run_blocks_only_the_deployments_of_its_target(deployment: Deployment, dba: User) -> None:
    other = plan(a_target("depot"), deployment.template_version, [(dba, "dba")], title="Second")
    run = Run.request(target=deployment.target, kind="connect", params={}, by=dba)
    Run.objects.filter(pk=run.pk).update(state=RunState.UNKNOWN)
    found = readiness.blockers_of([deployment, other], {deployment.pk: "pre", other.pk: "pre"})
    lost = {pk: [b.url for b in blockers if b.url == f"/runs/{run.pk}/"] for pk, blockers in found.items()}
    assert lost == {deployment.pk: [f"/runs/{run.pk}/"], other.pk: []}


def test_a_failed_item_is_not_called_open(deployment: Deployment, dba: User) -> None:
    Item.objects.filter(pk=item(deployment, "Server").pk).update(state=ItemState.FAILED)
    said = _sentences(deployment, dba)
    assert "“Server is there” has failed" in said
    assert "“Anybody checks this” is open" in said
