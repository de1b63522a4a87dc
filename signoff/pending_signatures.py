"""Whose signature is waited for."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, Prefetch, Q
from django.urls import reverse

from checklists import readiness
from checklists.models import DeploymentState, TeamMember
from checklists.models.deployment_state import IN_PROGRESS
from deployctl.accounts.models import User
from signoff.models import Delegation, GateState, Signature, Slot


def slots_waiting_for(user: User) -> list[Slot]:
    """The slots that this person could sign now.

    A slot counts only when nothing stands in the way of signing it: a signature that cannot be given yet
    waits on somebody else.
    """
    seats = TeamMember.objects.filter(
        user=user, deployment=OuterRef("gate__deployment"), role=OuterRef("role")
    )
    held = Delegation.objects.in_force().filter(delegate=user, slot=OuterRef("pk"))
    slots = Slot.objects.filter(
        Q(Exists(seats)) | Q(Exists(held)),
        gate__state=GateState.OPEN,
        gate__deployment__state__in=(DeploymentState.PLANNING, *IN_PROGRESS),
    ).select_related("gate__deployment__target")
    asked = slots.prefetch_related(
        Prefetch("gate__deployment__team", TeamMember.objects.with_people()),
        Prefetch("delegations", Delegation.objects.for_pages()),
        "gate__slots",
        Prefetch("gate__slots__signatures", Signature.objects.for_pages()),
        Prefetch("gate__slots__delegations", Delegation.objects.for_pages()),
        Prefetch("signatures", Signature.objects.for_pages()),
    )
    mine = [slot for slot in asked.order_by("pk") if not slot.sign_denied_reason(user)]
    is_blocked = _is_blocked(mine)
    return [slot for slot in mine if not is_blocked[slot.gate_id]]


def pending_signatures_for(user: User) -> list[readiness.PendingAction]:
    """The slots that this person could sign now, as lines for the home page."""
    return [
        readiness.PendingAction(
            f"Sign {slot.gate.deployment.title}: {slot.gate.title}, as {slot.label}", sign_url(slot)
        )
        for slot in slots_waiting_for(user)
    ]


def sign_url(slot: Slot) -> str:
    """Where a slot is signed."""
    address = reverse("signoff:gate", args=[slot.gate.deployment_id, slot.gate.key])
    return f"{address}?slot={slot.pk}"


def _is_blocked(slots: list[Slot]) -> dict[int, bool]:
    """By the number of a gate, whether anything hinders signing it."""
    found: dict[int, bool] = {}
    # Usually one question for all; two where both gates of a deployment wait, of which one was signed before.
    for key in {slot.gate.key for slot in slots}:
        gates = {slot.gate.deployment: slot.gate for slot in slots if slot.gate.key == key}
        blockers = readiness.blockers_of(gates, {deployment.pk: key for deployment in gates})
        for deployment, gate in gates.items():
            found[gate.pk] = any(blocker.blocks_signing for blocker in blockers[deployment.pk])
    return found
