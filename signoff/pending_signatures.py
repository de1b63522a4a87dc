"""The pending signatures of a person."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, Prefetch, Q
from django.urls import reverse

from checklists import readiness
from checklists.models import DeploymentState, TeamMember
from checklists.models.deployment_state import IN_PROGRESS
from deployctl.accounts.models import User
from signoff.models import Delegation, GateState, Signature, Slot


def signable_slots(user: User) -> list[Slot]:
    """Return the slots in which this person can sign now. Slots of a gate with blockers are left out."""
    memberships = TeamMember.objects.filter(
        user=user, deployment=OuterRef("gate__deployment"), role=OuterRef("role")
    )
    held = Delegation.objects.in_force().filter(delegate=user, slot=OuterRef("pk"))
    slots = Slot.objects.filter(
        Q(Exists(memberships)) | Q(Exists(held)),
        gate__state=GateState.OPEN,
        gate__deployment__state__in=(DeploymentState.PLANNING, *IN_PROGRESS),
    ).select_related("gate__deployment__target")
    slots = slots.prefetch_related(
        Prefetch("gate__deployment__team", TeamMember.objects.with_people()),
        Prefetch("delegations", Delegation.objects.for_pages()),
        "gate__slots",
        Prefetch("gate__slots__signatures", Signature.objects.for_pages()),
        Prefetch("gate__slots__delegations", Delegation.objects.for_pages()),
        Prefetch("signatures", Signature.objects.for_pages()),
    )
    allowed = [slot for slot in slots.order_by("pk") if not slot.sign_denied_reason(user)]
    is_blocked = _blocked_gates(allowed)
    return [slot for slot in allowed if not is_blocked[slot.gate_id]]


def pending_signatures_for(user: User) -> list[readiness.PendingAction]:
    """Return the person's pending signatures for the home page."""
    return [
        readiness.PendingAction(
            f"Sign {slot.gate.deployment.title}: {slot.gate.title}, as {slot.label}", sign_url(slot)
        )
        for slot in signable_slots(user)
    ]


def sign_url(slot: Slot) -> str:
    """Return the path of the page where a slot is signed."""
    return f"{reverse('signoff:gate', args=[slot.gate.deployment_id, slot.gate.key])}?slot={slot.pk}"


def _blocked_gates(slots: list[Slot]) -> dict[int, bool]:
    """Return for each gate, by primary key, whether it has blockers."""
    found: dict[int, bool] = {}
    # A deployment can have both gates open, so each gate key is queried separately.
    for key in {slot.gate.key for slot in slots}:
        gates = {slot.gate.deployment: slot.gate for slot in slots if slot.gate.key == key}
        blockers = readiness.blockers_of(gates, {deployment.pk: key for deployment in gates})
        for deployment, gate in gates.items():
            found[gate.pk] = any(blocker.blocks_signing for blocker in blockers[deployment.pk])
    return found
