"""Helpers that sign with real passwords and codes."""

from __future__ import annotations

from checklists.models import Deployment, Item, ItemState
from deployctl.accounts.models import User
from deployctl.accounts.testing import current_code, enroll
from deployctl.audit import Machine
from signoff import record as records
from signoff.models import Gate, Signature, Slot
from tests.checklists import factories
from tests.people import PASSWORD

MACHINE = Machine("test")


def complete_items(deployment: Deployment, *stages: str) -> None:
    """Complete every open item of these stages."""
    items = Item.objects.of_deployment(deployment.pk).filter(section__stage__in=stages, children=None)
    for item in items:
        if item.evidence_required:
            item.add_proof(MACHINE, "note", text="Seen.")
        item.refresh_from_db()
        if item.state == ItemState.OPEN:
            item.complete(MACHINE, "Done.")


def plan_with_gate_rules(
    team: list[tuple[User, str]], *, gate: str = "", quorum: int = 1, by: User | Machine = MACHINE
) -> Deployment:
    """Return a deployment that is ready for its first gate, with gate rules in its template.

    Args:
        gate: rules for the first gate, such as `creator: false`.
        quorum: the quorum of the Database Administrator's slot in the first gate.
        by: the creator of the deployment.
    """
    source = factories.SMALL.replace("gate: pre", f"gate: pre, {gate}" if gate else "gate: pre").replace(
        "sign: pre, role: dba", f"sign: pre, role: dba, quorum: {quorum}"
    )
    planned = factories.plan(factories.a_target(), factories.published(source), team, by=by)
    complete_items(planned, "pre")
    return planned


def gate_of(deployment: Deployment, key: str = "pre") -> Gate:
    """Return a gate, reloaded from the database."""
    return Gate.objects.select_related("deployment").get(deployment_id=deployment.pk, key=key)


def slot_of(deployment: Deployment, role: str, key: str = "pre") -> Slot:
    """Return a slot, reloaded from the database."""
    return Slot.objects.select_related("gate__deployment").get(
        gate__deployment_id=deployment.pk, gate__key=key, role=role
    )


def sign(deployment: Deployment, user: User, role: str, key: str = "pre", **changes: str) -> Signature:
    """Sign the current record, with `changes` to the arguments of `Slot.sign`."""
    enroll(user)
    slot = slot_of(deployment, role, key)
    arguments = {
        "password": PASSWORD,
        "code": changes.get("code") or current_code(user),
        "digest": records.digest(gate_of(deployment, key).record()),
    }
    slot.sign(by=user, **(arguments | changes))
    return Signature.objects.valid().get(slot=slot, signer=user)
