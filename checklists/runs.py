"""What becomes of items when their runs end, and what is asked again when a worker takes one."""

from __future__ import annotations

import logging

from django.db import transaction

from checklists.models import Deployment, Proof, ProofOutcome
from checklists.models.turns import ROLLBACK, why_no_rollback, why_not_run
from checklists.rights import Rights
from deployctl.audit import Machine
from deployctl.errors import Refusal
from deployctl.runs import listeners, preconditions
from deployctl.runs.models import Run, RunState

logger = logging.getLogger(__name__)

# `unknown` is not among them: its proof stays pending until a person has decided, and then we are told again.
OUTCOMES = {
    RunState.SUCCEEDED: ProofOutcome.PASS,
    RunState.FAILED: ProofOutcome.FAIL,
    RunState.CANCELLED: ProofOutcome.ERROR,
    RunState.INTERRUPTED: ProofOutcome.ERROR,
}


@listeners.on_finish
def settle_proofs(run: Run) -> None:
    """Let the item that a run was to prove take over what came of it. Inside the run's transaction."""
    outcome = OUTCOMES.get(RunState(run.state))
    if outcome is None:
        return
    by = run.requested_by or Machine(run.requested_by_name)
    for proof in Proof.objects.filter(run=run).select_related("item__section__checklist__deployment__target"):
        proof.item.prove(proof, outcome, by=by, summary=run.summary)


def settle_left() -> int:
    """Settle what runs left pending, because a defect or a lost connection kept us from hearing their end.

    Without this an item would wait for ever for a run that has ended.

    Returns:
        How many runs there were.
    """
    settled = 0
    for run in Run.objects.filter(proofs__outcome=ProofOutcome.PENDING, state__in=OUTCOMES).distinct():
        try:
            with transaction.atomic():
                settle_proofs(run)
        except Exception:  # one that cannot be settled must not keep the others waiting
            logger.exception("What run %s proves could not be settled; the next sweep tries again", run.pk)
        else:
            settled += 1
    return settled


@preconditions.on_claim
def check_claim(run: Run) -> None:
    """Ask once more, just before the work begins: the deployment may have been halted since the request.

    Raises:
        Refusal: the deployment is not where it may run this.
        NotAllowed: the person left the team or may no longer keep the item.
    """
    if run.deployment_id is None:
        return
    deployment = Deployment.objects.filter(pk=run.deployment_id).prefetch_related("team").first()
    if deployment is not None and run.kind == ROLLBACK:
        if reason := why_no_rollback(deployment.state):
            raise Refusal(f"The rollback was not started. {reason}")
        if run.requested_by is not None:
            Rights.of(run.requested_by, deployment).require_lead()
        return
    proof = Proof.objects.filter(run=run).select_related("item__section").first()
    if deployment is None or proof is None:
        raise Refusal(
            f"Run {run.pk} says that it rests on deployment {run.deployment_id}, which has no such item. "
            "Nothing was done; start it from the item on the deployment's page."
        )
    if reason := why_not_run(deployment.state, proof.item.section.stage):
        raise Refusal(f"“{proof.item}” was not started. {reason}")
    if run.requested_by is not None:
        Rights.of(run.requested_by, deployment).require_keep(proof.item)
