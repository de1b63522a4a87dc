"""The handlers for the hooks of deployments."""

from __future__ import annotations

from checklists import hooks
from checklists.markdown.model import ParsedTemplate
from checklists.models import Deployment, TemplateVersion
from deployctl.audit import Actor
from deployctl.errors import Refusal
from signoff import blockers, prefetch
from signoff.models import Gate, Signature
from signoff.models.gate import MEANINGS
from signoff.pending_signatures import pending_signatures_for

hooks.gate_blockers.connect(blockers.of_gates)
hooks.pending_actions.connect(pending_signatures_for)


@hooks.deployment_requested.connect
def require_signature_lines(version: TemplateVersion, template: ParsedTemplate) -> None:
    """Reject a template that lacks the signature lines of a gate.

    Raises:
        Refusal: a gate has no signature lines, so that the deployment could never be signed.
    """
    present = {parsed.key.value for parsed in template.gates if parsed.slots}
    if missing := [key for key in MEANINGS if key not in present]:
        raise Refusal(
            f"{version} has no signature line for the gate “{missing[0]}”, so the deployment could never be "
            "signed and was not created. Add a line such as "
            f"“- [ ] DBA: ____ Date: ____ <!-- sign: {missing[0]}, role: dba -->” to the template and "
            "publish it."
        )


@hooks.deployment_created.connect
def create_gates(deployment: Deployment, template: ParsedTemplate, by: Actor) -> None:  # noqa: ARG001
    """Create the gates of a new deployment."""
    for position, parsed in enumerate(template.gates):
        Gate.create_for(deployment, parsed, position=position)


@hooks.record_changed.connect
def mark_stale_signatures(deployment: Deployment, by: Actor, what: str, stage: str) -> None:
    """Mark the signatures over changed content as stale, in the transaction of the change."""
    for gate in deployment.gates.order_by("position"):
        if gate.covers(stage):
            gate.deployment = deployment
            gate.mark_stale_signatures(by=by, change=what)


@hooks.signed_gates.connect
def gates_with_signatures(deployment: Deployment) -> list[str]:
    """Return the keys of the gates that have a valid signature."""
    if prefetch.are_loaded(deployment):
        return [gate.key for gate in prefetch.gates_of(deployment) if gate.valid_signatures()]
    valid = Signature.objects.valid().filter(slot__gate__deployment=deployment)
    return list(valid.values_list("slot__gate__key", flat=True).distinct())
