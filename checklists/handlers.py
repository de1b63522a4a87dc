"""Handlers for the hooks of runs, targets, people and live channels."""

from __future__ import annotations

import logging
from typing import Any

from django.db import transaction

from checklists.hooks import record_changed
from checklists.models import Deployment, Proof, ProofOutcome
from checklists.models.deployment_queries import DeploymentQuerySet
from checklists.models.stage_rules import ROLLBACK, plan_stage, rollback_blocked_reason, run_blocked_reason
from checklists.permissions import DeploymentPermissions
from deployctl.accounts.hooks import person_renamed
from deployctl.accounts.models import User
from deployctl.audit import Actor, Machine
from deployctl.errors import Refusal
from deployctl.runs.hooks import run_claimed, run_ending, run_finished, target_changed
from deployctl.runs.models import Run, RunState, Target
from deployctl.web.hooks import channel_permission
from deployctl.web.http import row_number

logger = logging.getLogger(__name__)

# `unknown` is missing: its proof stays pending until a person decides, and then `run_finished` is sent again.
OUTCOMES = {
    RunState.SUCCEEDED: ProofOutcome.PASS,
    RunState.FAILED: ProofOutcome.FAIL,
    RunState.CANCELLED: ProofOutcome.ERROR,
    RunState.INTERRUPTED: ProofOutcome.ERROR,
}


@run_finished.connect
def settle_proofs(run: Run) -> None:
    """Apply a run's outcome to the items that it proves, in the transaction that ends the run."""
    outcome = OUTCOMES.get(RunState(run.state))
    if outcome is None:
        return
    by = run.requested_by or Machine(run.requested_by_name)
    for proof in Proof.objects.filter(run=run).select_related("item__section__checklist__deployment__target"):
        proof.item.apply_proof(proof, outcome, by=by, summary=run.summary)


def settle_missed_proofs() -> int:
    """Settle proofs that are still pending although their run has ended, for example after a lost connection.

    Returns:
        The number of runs whose proofs were settled.
    """
    settled = 0
    for run in Run.objects.filter(proofs__outcome=ProofOutcome.PENDING, state__in=OUTCOMES).distinct():
        try:
            with transaction.atomic():
                settle_proofs(run)
        except Exception:  # one failure must not block the other runs
            logger.exception("The proofs of run %s could not be settled; the periodic task retries", run.pk)
        else:
            settled += 1
    return settled


@run_claimed.connect
def check_claim(run: Run) -> None:
    """Check the run again when a worker claims it: the deployment may have been halted since the request.

    Raises:
        Refusal: the deployment's state doesn't allow the run.
        NotAllowed: the requester left the team or may no longer complete the item.
    """
    if run.deployment_id is None:
        return
    deployment = Deployment.objects.filter(pk=run.deployment_id).prefetch_related("team").first()
    if deployment is not None and run.kind == ROLLBACK:
        if reason := rollback_blocked_reason(deployment.state):
            raise Refusal(f"The rollback was not started. {reason}")
        if run.requested_by is not None:
            DeploymentPermissions.of(run.requested_by, deployment).require_lead()
        return
    proof = Proof.objects.filter(run=run).select_related("item__section").first()
    if deployment is None or proof is None:
        raise Refusal(
            f"Run {run.pk} was not started: deployment {run.deployment_id} has no item for it. "
            "Start it from an item on the deployment's page."
        )
    if reason := run_blocked_reason(deployment.state, proof.item.section.stage):
        raise Refusal(f"“{proof.item}” was not started. {reason}")
    if run.requested_by is not None:
        DeploymentPermissions.of(run.requested_by, deployment).require_complete(proof.item)


@run_ending.connect
def lock_deployments(run: Run) -> None:
    """Lock the deployments that the run's end will change, before the run locks the audit chain.

    Everything that changes a deployment locks it first and the chain last; the opposite order could deadlock.
    """
    _locked(Deployment.objects.unfinished().filter(target=run.target_id))


@target_changed.connect
def record_target_change(target: Target, by: Actor, what: str) -> None:
    """Record the change in the target's unfinished deployments."""
    _record(Deployment.objects.unfinished().filter(target=target), by, f"target {target}: {what}")


@person_renamed.connect
def record_new_name(person: User, by: Actor, before: str) -> None:
    """Record the new name in the unfinished deployments of the person's teams."""
    found = Deployment.objects.unfinished().filter(team__user=person)
    _record(found, by, f"{before} is now called {person.name}")


@channel_permission.connect
def may_watch(user: Any, kind: str, key: str) -> bool:
    """Return True if the user may see the deployment whose changes the channel reports."""
    return (
        kind == "deployment"
        and isinstance(user, User)
        and Deployment.objects.visible_to(user).filter(pk=row_number(key)).exists()
    )


def _record(found: DeploymentQuerySet, by: Actor, what: str) -> None:
    for deployment in _locked(found):
        record_changed.send(deployment, by, what, plan_stage(deployment.state))
        deployment.announce()


def _locked(found: DeploymentQuerySet) -> list[Deployment]:
    """Lock the deployments in ascending order, which prevents deadlocks, and return them."""
    rows = Deployment.objects.filter(pk__in=found.values("pk")).order_by("pk")
    return list(rows.select_for_update(no_key=True, of=("self",)).select_related("target"))
