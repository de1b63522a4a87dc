"""What signing does when a deployment, which lives a floor below, is created or changes."""

from __future__ import annotations

from django.urls import reverse

from checklists import listeners, readiness
from checklists.markdown.model import ParsedTemplate
from checklists.models import Deployment
from deployctl.audit import Actor
from deployctl.errors import Refusal
from signoff.models import Gate, Signature
from signoff.models.gate import FIRST_GATE, MEANINGS
from signoff.waiting import signatures_waiting_for


def register() -> None:
    """Hear of new deployments and of changed records; say what is signed, and what waits for it."""
    listeners.on_created(create_gates)
    listeners.on_record_change(break_signatures)
    readiness.register(earlier_gate_is_open)
    readiness.register_waiting(signatures_waiting_for)
    readiness.register_signed(gates_with_signatures)


def create_gates(deployment: Deployment, template: ParsedTemplate, by: Actor) -> None:  # noqa: ARG001
    """Give a new deployment the gates of its template.

    Raises:
        Refusal: the template lacks the signature lines of a gate, so nobody could ever approve it.
    """
    present = {parsed.key.value for parsed in template.gates if parsed.slots}
    if missing := [key for key in MEANINGS if key not in present]:
        raise Refusal(
            f"{deployment.template_version} has no signature line for the gate “{missing[0]}”, so the "
            "deployment could never be signed. Nothing was created. Add a line such as "
            f"“- [ ] DBA: ____ Date: ____ <!-- sign: {missing[0]}, role: dba -->” to the template and "
            "publish it."
        )
    for position, parsed in enumerate(template.gates):
        Gate.create_for(deployment, parsed, position=position)


def break_signatures(deployment: Deployment, by: Actor, what: str, stage: str) -> None:
    """Mark the signatures that covered what changed as stale, in the transaction of the change."""
    for gate in deployment.gates.order_by("position"):
        if gate.covers(stage):
            gate.deployment = deployment
            gate.break_signatures(by=by, change=what)


def gates_with_signatures(deployment: Deployment) -> list[str]:
    """The keys of the gates of which somebody's signature stands."""
    standing = Signature.objects.standing().filter(slot__gate__deployment=deployment)
    return list(standing.values_list("slot__gate__key", flat=True).distinct())


def earlier_gate_is_open(deployment: Deployment, gate_key: str) -> list[readiness.Blocker]:
    """A later gate cannot be signed while an earlier one has lost a signature."""
    if gate_key == FIRST_GATE:
        return []
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
