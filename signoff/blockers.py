"""What stands in the way of a gate besides its checklist: earlier gates, a required run, people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

from django.urls import reverse
from django.utils import timezone

from checklists.models import Deployment
from checklists.readiness import Blocker
from deployctl.operations import catalogue
from deployctl.runs.models import Run, RunState
from deployctl.text import pluralize
from signoff import signer_availability
from signoff.models import Gate
from signoff.prefetch import gates_of, prefetch_gates

Found = Iterator[tuple[Deployment, Blocker]]


def of_gates(asked: Mapping[Deployment, str]) -> Found:
    """What is in the way of each deployment's gate, for as many deployments as are asked for.

    Args:
        asked: the key of the gate by deployment; closing has no gate.
    """
    prefetch_gates(asked)
    unsigned = []
    for deployment, key in asked.items():
        gates = gates_of(deployment)
        this = next((gate for gate in gates if gate.key == key), None)
        if this is None:
            continue
        earlier = [gate for gate in gates if gate.position < this.position and not gate.is_signed]
        yield from ((deployment, _of_open_gate(gate)) for gate in earlier)
        if not this.is_signed:
            unsigned.append(this)
            if blocker := _of_required_run(this):
                yield deployment, blocker
    for gate, flag in signer_availability.flags(unsigned):
        yield (
            gate.deployment,
            Blocker(flag.sentence, flag.url, blocks_signing=flag.blocks_signing, is_about_people=True),
        )


def _of_open_gate(gate: Gate) -> Blocker:
    address = reverse("signoff:gate", args=[gate.deployment_id, gate.key])
    return Blocker(f"{gate.title} is not fully signed.", address)


def _of_required_run(gate: Gate) -> Blocker | None:
    """What is wrong with the run that a gate requires; None where nothing is, or none is required."""
    if not gate.requires or gate.requires_within is None:
        return None
    target = gate.deployment.target
    known = catalogue().get(gate.requires)
    title, longest = known.title if known else gate.requires, _in_words(gate.requires_within)
    asked = f"“{gate.title}” asks for one that succeeded within the last {longest}"
    run = Run.objects.newest_ended(target.pk, gate.requires)
    if run is None or run.finished_at is None:
        address = reverse("runs:target", args=[target.name])
        return Blocker(f"“{title}” was never run on {target}; {asked}.", address)
    address = reverse("runs:run", args=[run.pk])
    if run.state != RunState.SUCCEEDED:
        return Blocker(f"The newest “{title}” on {target}, run {run.pk}, failed; {asked}.", address)
    if run.finished_at < timezone.now() - gate.requires_within:
        at = timezone.localtime(run.finished_at)
        return Blocker(
            f"“{title}” last succeeded on {target} on {at:%-d %b %Y, %H:%M %Z} (run {run.pk}); {asked}.",
            address,
        )
    return None


def _in_words(length: timedelta) -> str:
    """A length of time in its largest whole unit."""
    seconds = int(length.total_seconds())
    for unit, size in (("week", 604_800), ("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds % size == 0:
            count = seconds // size
            return unit if count == 1 else pluralize(count, unit)
    return pluralize(seconds, "second")
