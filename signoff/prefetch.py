"""Prefetch the gates of many deployments with all that rules and pages need, in a fixed number of queries."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Prefetch, QuerySet, prefetch_related_objects

from checklists.models import Deployment, TeamMember
from signoff.models import Delegation, Gate, Signature

LOADED = "loaded_gates"


def with_slots(gates: QuerySet[Gate]) -> QuerySet[Gate]:
    """Return the gates in order, with their slots, signatures and delegations prefetched."""
    return gates.order_by("position").prefetch_related(
        "slots",
        Prefetch("slots__signatures", Signature.objects.for_pages()),
        Prefetch("slots__delegations", Delegation.objects.for_pages()),
    )


def prefetch_gates(deployments: Iterable[Deployment]) -> None:
    """Read the gates of these deployments now, for `gates_of`."""
    listed = list(deployments)
    for deployment in listed:
        if deployment.__dict__.pop(LOADED, None) is not None:
            # This instance was prefetched before, so its team may be outdated as well.
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
    """Return True if this instance already has its gates."""
    return hasattr(deployment, LOADED)


def gates_of(deployment: Deployment) -> list[Gate]:
    """Return a deployment's gates in order; read them if this instance does not have them yet."""
    if not are_loaded(deployment):
        prefetch_gates([deployment])
    gates: list[Gate] = getattr(deployment, LOADED)
    return gates
