"""Blockers of gates besides the checklist: earlier gates, a required run, and missing signers."""

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


def of_gates(gate_keys: Mapping[Deployment, str]) -> Iterator[tuple[Deployment, Blocker]]:
    """Return the blockers of one gate of each deployment.

    Args:
        gate_keys: the gate's key by deployment; the key for closing has no gate.
    """
    prefetch_gates(gate_keys)
    unsigned = []
    for deployment, key in gate_keys.items():
        gates = gates_of(deployment)
        current = next((gate for gate in gates if gate.key == key), None)
        if current is None:
            continue
        earlier = [gate for gate in gates if gate.position < current.position and not gate.is_signed]
        yield from ((deployment, _of_open_gate(gate)) for gate in earlier)
        if not current.is_signed:
            unsigned.append(current)
            if blocker := _of_required_run(current):
                yield deployment, blocker
    for gate, flag in signer_availability.flags(unsigned):
        yield (
            gate.deployment,
            Blocker(flag.sentence, flag.url, blocks_signing=flag.blocks_signing, is_about_people=True),
        )


def _of_open_gate(gate: Gate) -> Blocker:
    return Blocker(
        f"“{gate.title}” is not fully signed.", reverse("signoff:gate", args=[gate.deployment_id, gate.key])
    )


def _of_required_run(gate: Gate) -> Blocker | None:
    """Return the blocker if the run that a gate requires is missing, failed or too old."""
    if not gate.requires or gate.requires_within is None:
        return None
    target = gate.deployment.target
    operation = catalogue().get(gate.requires)
    title = operation.title if operation else gate.requires
    rule = f"“{gate.title}” requires a successful run within the last {_duration(gate.requires_within)}"
    run = Run.objects.newest_ended(target.pk, gate.requires)
    if run is None or run.finished_at is None:
        return Blocker(
            f"“{title}” has never run on {target}. {rule}.", reverse("runs:target", args=[target.name])
        )
    url = reverse("runs:run", args=[run.pk])
    if run.state != RunState.SUCCEEDED:
        return Blocker(f"The newest “{title}” on {target}, run {run.pk}, failed. {rule}.", url)
    if run.finished_at < timezone.now() - gate.requires_within:
        at = timezone.localtime(run.finished_at)
        return Blocker(
            f"“{title}” last succeeded on {target} on {at:%-d %b %Y, %H:%M %Z} (run {run.pk}). {rule}.",
            url,
        )
    return None


def _duration(length: timedelta) -> str:
    """Return a length of time in its largest whole unit, such as “2 days” or “week”."""
    seconds = int(length.total_seconds())
    for unit, size in (("week", 604_800), ("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds % size == 0:
            count = seconds // size
            return unit if count == 1 else pluralize(count, unit)
    return pluralize(seconds, "second")
