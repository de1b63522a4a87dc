"""The handlers that signing connects to the hooks of deployments."""

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
def refuse_without_gates(version: TemplateVersion, template: ParsedTemplate) -> None:
    """Have nothing planned that nobody could sign.

    Raises:
        Refusal: the template lacks the signature lines of a gate, so nobody could ever approve it.
    """
    present = {parsed.key.value for parsed in template.gates if parsed.slots}
    if missing := [key for key in MEANINGS if key not in present]:
        raise Refusal(
            f"{version} has no signature line for the gate “{missing[0]}”, so the "
            "deployment could never be signed. Nothing was created. Add a line such as "
            f"“- [ ] DBA: ____ Date: ____ <!-- sign: {missing[0]}, role: dba -->” to the template and "
            "publish it."
        )


@hooks.deployment_created.connect
def create_gates(deployment: Deployment, template: ParsedTemplate, by: Actor) -> None:  # noqa: ARG001
    """Give a new deployment the gates of its template."""
    for position, parsed in enumerate(template.gates):
        Gate.create_for(deployment, parsed, position=position)


@hooks.record_changed.connect
def mark_stale_signatures(deployment: Deployment, by: Actor, what: str, stage: str) -> None:
    """Mark the signatures that covered what changed as stale, in the transaction of the change."""
    for gate in deployment.gates.order_by("position"):
        if gate.covers(stage):
            gate.deployment = deployment
            gate.mark_stale_signatures(by=by, change=what)


@hooks.signed_gates.connect
def gates_with_signatures(deployment: Deployment) -> list[str]:
    """The keys of the gates of which somebody's signature stands."""
    if prefetch.are_loaded(deployment):
        return [gate.key for gate in prefetch.gates_of(deployment) if gate.valid_signatures()]
    standing = Signature.objects.valid().filter(slot__gate__deployment=deployment)
    return list(standing.values_list("slot__gate__key", flat=True).distinct())
