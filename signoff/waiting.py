"""Whose signature is waited for."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, Prefetch
from django.urls import reverse

from checklists import readiness
from checklists.models import TeamMember
from deployctl.accounts.models import User
from signoff.models import GateState, Signature, Slot
from signoff.models.slot import SIGNABLE_STATE


def signatures_waiting_for(user: User) -> list[readiness.Waiting]:
    """The places that this person could sign now, as lines for the home page.

    A place counts only when nothing stands in the way of signing it: a signature that cannot be given
    yet waits on somebody else.
    """
    seats = TeamMember.objects.filter(
        user=user, deployment=OuterRef("gate__deployment"), role=OuterRef("role")
    )
    slots = Slot.objects.filter(
        Exists(seats), gate__state=GateState.OPEN, gate__deployment__state__in=SIGNABLE_STATE.values()
    ).select_related("gate__deployment__target")
    signatures = Prefetch("gate__slots__signatures", Signature.objects.for_pages())
    asked = slots.prefetch_related("gate__deployment__team", signatures)
    mine = [slot for slot in asked if not slot.refusal(user)]
    in_the_way = readiness.verdicts({slot.gate.deployment for slot in mine})
    return [
        readiness.Waiting(
            f"Sign {slot.gate.deployment.title}: {slot.gate.title}, as {slot.label}", sign_url(slot)
        )
        for slot in mine
        if not in_the_way[slot.gate.deployment_id]
    ]


def sign_url(slot: Slot) -> str:
    """Where a place is signed."""
    address = reverse("signoff:gate", args=[slot.gate.deployment_id, slot.gate.key])
    return f"{address}?slot={slot.pk}"
