"""What changes in a deployment's record though nobody touched the deployment: its target, and its people."""

from __future__ import annotations

from checklists import listeners
from checklists.models import Deployment
from checklists.models.deployment_queries import DeploymentQuerySet
from checklists.models.turns import stage_of_plan
from deployctl.accounts.listeners import on_rename
from deployctl.accounts.models import User
from deployctl.audit import Actor
from deployctl.runs.listeners import on_ending, on_target_change
from deployctl.runs.models import Run, Target


@on_target_change
def target_changed(target: Target, by: Actor, what: str) -> None:
    """Another database, connection, environment or project stands behind the target's name."""
    _tell(Deployment.objects.unfinished().filter(target=target), by, f"target {target}: {what}")


@on_rename
def person_renamed(person: User, by: Actor, before: str) -> None:
    """Somebody of the team is called otherwise."""
    found = Deployment.objects.unfinished().filter(team__user=person)
    _tell(found, by, f"{before} is now called {person.name}")


@on_ending
def hold_deployments(run: Run) -> None:
    """Lock what the run's end will change, before the run appends its first entry to the audit chain.

    Everything that changes a deployment locks it first and the chain last; a run that did it the other way
    round could wait for a person who waits for it.
    """
    _held(Deployment.objects.unfinished().filter(target=run.target_id))


def _tell(found: DeploymentQuerySet, by: Actor, what: str) -> None:
    for deployment in _held(found):
        listeners.on_record_change.tell(deployment, by, what, stage_of_plan(deployment.state))
        deployment.announce()


def _held(found: DeploymentQuerySet) -> list[Deployment]:
    """All of them locked, in one order, so that no two callers wait for each other."""
    rows = Deployment.objects.filter(pk__in=found.values("pk")).order_by("pk")
    return list(rows.select_for_update(no_key=True, of=("self",)).select_related("target"))
