"""Gates with everything that rules and pages ask of them, for many deployments in four questions."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Prefetch, QuerySet, prefetch_related_objects

from checklists.models import Deployment, TeamMember
from signoff.models import Delegation, Gate, Signature

LOADED = "loaded_gates"


def with_slots(gates: QuerySet[Gate]) -> QuerySet[Gate]:
    """Gates in order, with their slots, signatures and delegations."""
    return gates.order_by("position").prefetch_related(
        "slots",
        Prefetch("slots__signatures", Signature.objects.for_pages()),
        Prefetch("slots__delegations", Delegation.objects.for_pages()),
    )


def prefetch_gates(deployments: Iterable[Deployment]) -> None:
    """Read the gates of these deployments now, and have `gates_of` give them."""
    listed = list(deployments)
    for deployment in listed:
        if deployment.__dict__.pop(LOADED, None) is not None:
            # Asked once more, so what this instance knows of its team may be of the time before.
            deployment.__dict__.get("_prefetched_objects_cache", {}).pop("team", None)
    prefetch_related_objects(
        listed,
        Prefetch("team", TeamMember.objects.with_people()),
        Prefetch("gates", with_slots(Gate.objects.all()), to_attr=LOADED),
    )
    for deployment in listed:
        for gate in gates_of(deployment):
            gate.deployment = deployment


def are_loaded(deployment: Deployment) -> bool:
    """Whether this very instance has its gates already."""
    return hasattr(deployment, LOADED)


def gates_of(deployment: Deployment) -> list[Gate]:
    """A deployment's gates in order, as they were read for this instance; read now where they were not."""
    if not are_loaded(deployment):
        prefetch_gates([deployment])
    gates: list[Gate] = getattr(deployment, LOADED)
    return gates
