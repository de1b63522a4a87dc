"""Readiness of a gate: GO, or NO-GO with a list of blockers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from django.urls import reverse
from django.utils import timezone

from checklists import hooks
from checklists.models import Deployment, Item, ItemState, Stage
from checklists.models.stage_rules import COVERED_BY, NEXT_GATE, frozen_reason
from deployctl.accounts.models import User
from deployctl.errors import Refusal
from deployctl.runs.models import Run, RunState

CLOSURE = "closure"


@dataclass(frozen=True)
class Blocker:
    """A problem that must be resolved before a gate can be signed.

    Attributes:
        sentence: the problem and the next step.
        url: the page on which it can be resolved.
        blocks_signing: False if it affects only one signer: then the gate is NO-GO, but others may sign.
        is_about_people: True if it is about the available signers; these are shown from the planning on.
    """

    sentence: str
    url: str
    blocks_signing: bool = True
    is_about_people: bool = False


@dataclass(frozen=True)
class PendingAction:
    """An action that waits for a user: a sentence, and the URL of the page for it."""

    sentence: str
    url: str


def signed_stages(deployment: Deployment) -> frozenset[Stage]:
    """Return the stages whose content has at least one valid signature."""
    keys = {key for found in hooks.signed_gates.collect(deployment) for key in found}
    return frozenset(stage for key in keys for stage in COVERED_BY.get(key, ()))


def require_warning(deployment: Deployment, stage: str, *, was_warned: bool) -> None:
    """Raise Refusal if the stage is signed and the actor wasn't warned that a change affects signatures."""
    if not was_warned and stage in signed_stages(deployment):
        raise Refusal(
            "This was signed after your page was loaded. Nothing was changed, because a change withdraws the "
            "signatures and reopens the gate; submit again to make it anyway."
        )


def pending_actions(user: User) -> list[PendingAction]:
    """Return the user's pending actions other than items."""
    return list(chain.from_iterable(hooks.pending_actions.collect(user)))


def blockers(deployment: Deployment, gate_key: str) -> list[Blocker]:
    """Return the blockers of a gate, read from the database.

    Args:
        gate_key: `pre`, `post`, or `closure` for the closing of the deployment.
    """
    return blockers_of([deployment], {deployment.pk: gate_key})[deployment.pk]


def people_blockers(deployment: Deployment) -> list[Blocker]:
    """Return the blockers about the signers of all gates, without duplicates."""
    found = {
        blocker.sentence: blocker
        for key in COVERED_BY
        for _, blocker in _from_handlers({deployment: key})
        if blocker.is_about_people
    }
    return list(found.values())


def next_gate_blockers(deployments: Iterable[Deployment]) -> dict[int, list[Blocker]]:
    """Return the blockers of each deployment's next gate, by the deployment's number."""
    listed = list(deployments)
    return blockers_of(listed, {d.pk: NEXT_GATE[d.state] for d in listed if d.state in NEXT_GATE})


def blockers_of(deployments: Iterable[Deployment], gates: Mapping[int, str]) -> dict[int, list[Blocker]]:
    """Return the blockers of several deployments, with as many queries as for one.

    Args:
        gates: gate keys by the deployment's number; a deployment without one has no blockers.
    """
    listed = list(deployments)
    found: dict[int, list[Blocker]] = {deployment.pk: [] for deployment in listed}
    relevant = [deployment for deployment in listed if deployment.pk in gates]
    if not relevant:
        return found
    running = _runs_in_progress(relevant)
    unsettled: dict[int, list[Item]] = {}
    items = Item.objects.leaves().unsettled(running).filter(section__checklist__deployment__in=relevant)
    for item in items.select_related("section__checklist").order_by("section__position", "position"):
        unsettled.setdefault(item.section.checklist.deployment_id, []).append(item)
    targets = {deployment.target_id for deployment in relevant}
    unknown = list(Run.objects.filter(target__in=targets, state=RunState.UNKNOWN))
    outdated: dict[int, list[Item]] = {}
    for item in Item.objects.outdated().filter(section__checklist__deployment__in=relevant):
        outdated.setdefault(item.section.checklist.deployment_id, []).append(item)
    for deployment in relevant:
        found[deployment.pk] = _checklist_blockers(
            deployment,
            gates[deployment.pk],
            unsettled.get(deployment.pk, []),
            running,
            [run for run in unknown if run.target_id == deployment.target_id],
            outdated.get(deployment.pk, []),
        )
    for deployment, blocker in _from_handlers({each: gates[each.pk] for each in relevant}):
        found[deployment.pk].append(blocker)
    return found


def evaluate(
    deployment: Deployment,
    gate_key: str,
    unsettled: Iterable[Item],
    running: Mapping[int, Run],
    unknown: Iterable[Run],
    outdated: Iterable[Item] = (),
) -> list[Blocker]:
    """Return the blockers of a gate for a caller that has already loaded the items and runs.

    Args:
        unsettled: the deployment's items without sub-items that are open, failed or being proven.
        running: unfinished runs by the number of the item that they prove.
        unknown: runs on the deployment's target with an unknown outcome.
        outdated: the deployment's items that are done but whose proof has expired.
    """
    found = _checklist_blockers(deployment, gate_key, unsettled, running, unknown, outdated)
    return found + [blocker for _, blocker in _from_handlers({deployment: gate_key})]


def _checklist_blockers(
    deployment: Deployment,
    gate_key: str,
    unsettled: Iterable[Item],
    running: Mapping[int, Run],
    unknown: Iterable[Run],
    outdated: Iterable[Item],
) -> list[Blocker]:
    covered = COVERED_BY[gate_key]
    found = [
        _item_blocker(deployment, item, running.get(item.pk))
        for item in unsettled
        if item.section.stage in covered
    ]
    # Frozen items cannot be proven again; their proofs were valid when they were approved.
    found += [
        _outdated_blocker(deployment, item)
        for item in outdated
        if item.section.stage in covered and not frozen_reason(deployment.state, item.section.stage)
    ]
    return found + [_unknown_run_blocker(run) for run in unknown]


def _from_handlers(gates: Mapping[Deployment, str]) -> Iterator[tuple[Deployment, Blocker]]:
    return chain.from_iterable(hooks.gate_blockers.collect(gates))


def _runs_in_progress(deployments: Iterable[Deployment]) -> dict[int, Run]:
    """Return the unfinished runs by the number of the item that they prove."""
    runs = Run.objects.unfinished().filter(authority__in=[d.authority for d in deployments])
    return {proof.item_id: run for run in runs.prefetch_related("proofs") for proof in run.proofs.all()}


def _item_blocker(deployment: Deployment, item: Item, run: Run | None) -> Blocker:
    if run is not None:
        run_state = run.get_state_display().lower()
        sentence = f"“{item}” is being proven by run {run.pk} ({run_state}); wait for the run to end."
    elif item.state == ItemState.FAILED:
        sentence = f"“{item}” has failed; fix the cause and complete it, or waive it."
    else:
        sentence = f"“{item}” is open; complete or waive it."
    return Blocker(sentence, f"{deployment.get_absolute_url()}#item-{item.pk}")


def _outdated_blocker(deployment: Deployment, item: Item) -> Blocker:
    until = timezone.localtime(item.proven_until)  # type: ignore[attr-defined]  # annotated by `outdated()`
    return Blocker(
        f"The proof of “{item}” expired on {until:%-d %b %Y at %H:%M %Z}; prove it again.",
        f"{deployment.get_absolute_url()}#item-{item.pk}",
    )


def _unknown_run_blocker(run: Run) -> Blocker:
    return Blocker(
        f"Run {run.pk} ({run.kind}) on {run.target} was lost, and its outcome is unknown; decide the outcome "
        "on its page.",
        reverse("runs:run", args=[run.pk]),
    )
