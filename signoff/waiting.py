"""Whose signature is waited for."""

from __future__ import annotations

from django.db.models import F
from django.urls import reverse

from checklists import readiness
from deployctl.accounts.models import User
from signoff.models import GateState, Slot


def signatures_waiting_for(user: User) -> list[readiness.Waiting]:
    """The places that this person could sign now, as lines for the home page.

    A place counts only when nothing stands in the way of signing it: a signature that cannot be given
    yet waits on somebody else.
    """
    slots = Slot.objects.filter(
        gate__state=GateState.OPEN,
        gate__deployment__team__user=user,
        gate__deployment__team__role=F("role"),
    ).select_related("gate__deployment__target")
    return [
        readiness.Waiting(
            f"Sign {slot.gate.deployment.title}: {slot.gate.title}, as {slot.label}", sign_url(slot)
        )
        for slot in slots
        if not slot.refusal(user) and not readiness.blockers(slot.gate.deployment, slot.gate.key)
    ]


def sign_url(slot: Slot) -> str:
    """Where a place is signed."""
    address = reverse("signoff:gate", args=[slot.gate.deployment_id, slot.gate.key])
    return f"{address}?slot={slot.pk}"
