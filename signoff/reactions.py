"""What signing does when a deployment, which lives a floor below, is created or changes."""

from __future__ import annotations

from django.urls import reverse

from checklists import listeners, readiness
from checklists.markdown.model import ParsedTemplate
from checklists.models import Deployment
from deployctl.audit.actors import Actor
from signoff.models import Gate
from signoff.waiting import signatures_waiting_for


def register() -> None:
    """Hear of new deployments and of changed records; say whose signature is waited for."""
    listeners.on_created(create_gates)
    listeners.on_record_change(break_signatures)
    readiness.register(earlier_gate_is_open)
    readiness.register_waiting(signatures_waiting_for)


def create_gates(deployment: Deployment, template: ParsedTemplate, by: Actor) -> None:  # noqa: ARG001
    """Give a new deployment the gates of its template."""
    for position, parsed in enumerate(template.gates):
        Gate.create_for(deployment, parsed, position=position)


def break_signatures(deployment: Deployment, by: Actor, what: str, stage: str) -> None:  # noqa: ARG001
    """Mark the signatures that covered what changed as stale, in the transaction of the change.

    Digests decide what was covered, not the stage: a later gate covers the earlier one's signatures,
    so breaking those breaks it, too.
    """
    for gate in deployment.gates.order_by("position"):
        gate.break_signatures(by=by, change=what)


def earlier_gate_is_open(deployment: Deployment, gate_key: str) -> list[readiness.Blocker]:
    """A later gate cannot be signed while an earlier one has lost a signature."""
    gates = list(deployment.gates.order_by("position"))
    this = next((gate for gate in gates if gate.key == gate_key), None)
    if this is None:
        return []
    return [
        readiness.Blocker(
            f"{gate.title} is not fully signed.", reverse("signoff:gate", args=[deployment.pk, gate.key])
        )
        for gate in gates
        if gate.position < this.position and not gate.is_signed
    ]

