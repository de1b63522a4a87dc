"""GO or NO-GO: what stands between a deployment and its next gate, each thing a sentence with a link."""

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
    """One thing in the way: a sentence, and where to do something about it."""

    sentence: str
    url: str
    # Whether signatures wait for it. What keeps only one person from signing keeps the gate from GO, and the
    # others from nothing.
    blocks_signing: bool = True
    # Whether it is about who could sign, which is told as soon as a deployment is planned.
    is_about_people: bool = False


@dataclass(frozen=True)
class Waiting:
    """One thing that waits on somebody: a sentence, and where they do it."""

    sentence: str
    url: str


def signed_stages(deployment: Deployment) -> frozenset[Stage]:
    """The stages of which somebody has signed what they record, be it the only one of three so far."""
    keys = {key for found in hooks.signed_gates.collect(deployment) for key in found}
    return frozenset(stage for key in keys for stage in COVERED_BY.get(key, ()))


def require_warning(deployment: Deployment, stage: str, *, was_warned: bool) -> None:
    """Refuse a change of what is signed to whoever was not told that it withdraws the signatures.

    Raises:
        Refusal: nothing was changed.
    """
    if not was_warned and stage in signed_stages(deployment):
        raise Refusal(
            "This was signed after your page was loaded. Nothing was changed: a change withdraws the "
            "signatures and opens the gate again. If you mean it, do it once more."
        )


def waiting_on(user: User) -> list[Waiting]:
    """Return what waits for a person besides items."""
    return list(chain.from_iterable(hooks.pending_actions.collect(user)))


def blockers(deployment: Deployment, gate_key: str) -> list[Blocker]:
    """Everything that is in the way of a gate, fresh from the database.

    Args:
        gate_key: `pre`, `post`, or `closure` for what closing waits for.
    """
    return blockers_of([deployment], {deployment.pk: gate_key})[deployment.pk]


def people_blockers(deployment: Deployment) -> list[Blocker]:
    """What is wrong with the people whom the gates of a deployment need, each thing once."""
    found = {
        blocker.sentence: blocker
        for key in COVERED_BY
        for _, blocker in _from_handlers({deployment: key})
        if blocker.is_about_people
    }
    return list(found.values())


def verdicts(deployments: Iterable[Deployment]) -> dict[int, list[Blocker]]:
    """The blockers of several deployments, each before what it is on the way to, by number."""
    listed = list(deployments)
    return blockers_of(listed, {d.pk: NEXT_GATE[d.state] for d in listed if d.state in NEXT_GATE})


def blockers_of(deployments: Iterable[Deployment], gates: Mapping[int, str]) -> dict[int, list[Blocker]]:
    """The blockers of several deployments, in as many questions as one of them needs.

    Args:
        gates: by the deployment's number, the key of the gate; without one nothing is in the way.
    """
    listed = list(deployments)
    found: dict[int, list[Blocker]] = {deployment.pk: [] for deployment in listed}
    asked = [deployment for deployment in listed if deployment.pk in gates]
    if not asked:
        return found
    running = _runs_in_progress(asked)
    unsettled: dict[int, list[Item]] = {}
    items = Item.objects.leaves().unsettled(running).filter(section__checklist__deployment__in=asked)
    for item in items.select_related("section__checklist").order_by("section__position", "position"):
        unsettled.setdefault(item.section.checklist.deployment_id, []).append(item)
    targets = {deployment.target_id for deployment in asked}
    unknown = list(Run.objects.filter(target__in=targets, state=RunState.UNKNOWN))
    outdated: dict[int, list[Item]] = {}
    for item in Item.objects.outdated().filter(section__checklist__deployment__in=asked):
        outdated.setdefault(item.section.checklist.deployment_id, []).append(item)
    for deployment in asked:
        found[deployment.pk] = _of_checklist(
            deployment,
            gates[deployment.pk],
            unsettled.get(deployment.pk, []),
            running,
            [run for run in unknown if run.target_id == deployment.target_id],
            outdated.get(deployment.pk, []),
        )
    for deployment, blocker in _from_handlers({each: gates[each.pk] for each in asked}):
        found[deployment.pk].append(blocker)
    return found


def judge(
    deployment: Deployment,
    gate_key: str,
    unsettled: Iterable[Item],
    running: Mapping[int, Run],
    unknown: Iterable[Run],
    outdated: Iterable[Item] = (),
) -> list[Blocker]:
    """The blockers of a deployment of whose checklist the facts are known already.

    Args:
        unsettled: its items that are open, failed or being proven, without those that follow sub-items.
        running: unfinished runs by the number of the item they are to prove.
        unknown: runs on its target whose outcome nobody knows.
        outdated: its items that are done on the strength of a proof whose time is over.
    """
    found = _of_checklist(deployment, gate_key, unsettled, running, unknown, outdated)
    return found + [blocker for _, blocker in _from_handlers({deployment: gate_key})]


def _of_checklist(
    deployment: Deployment,
    gate_key: str,
    unsettled: Iterable[Item],
    running: Mapping[int, Run],
    unknown: Iterable[Run],
    outdated: Iterable[Item],
) -> list[Blocker]:
    covered = COVERED_BY[gate_key]
    found = [
        _of_item(deployment, item, running.get(item.pk))
        for item in unsettled
        if item.section.stage in covered
    ]
    # What no longer changes cannot be proven again either: it was good when it was approved.
    found += [
        _of_outdated(deployment, item)
        for item in outdated
        if item.section.stage in covered and not frozen_reason(deployment.state, item.section.stage)
    ]
    return found + [_of_unknown_run(run) for run in unknown]


def _from_handlers(asked: Mapping[Deployment, str]) -> Iterator[tuple[Deployment, Blocker]]:
    return chain.from_iterable(hooks.gate_blockers.collect(asked))


def _runs_in_progress(deployments: Iterable[Deployment]) -> dict[int, Run]:
    """Unfinished runs by the item they are to prove."""
    runs = Run.objects.unfinished().filter(authority__in=[d.authority for d in deployments])
    return {proof.item_id: run for run in runs.prefetch_related("proofs") for proof in run.proofs.all()}


def _of_item(deployment: Deployment, item: Item, run: Run | None) -> Blocker:
    if run is not None:
        sentence = f"“{item}” is being proven by run {run.pk}, which is {run.get_state_display().lower()}."
    elif item.state == ItemState.FAILED:
        sentence = f"“{item}” has failed."
    else:
        sentence = f"“{item}” is open."
    return Blocker(sentence, f"{deployment.get_absolute_url()}#item-{item.pk}")


def _of_outdated(deployment: Deployment, item: Item) -> Blocker:
    until = timezone.localtime(item.proven_until)  # type: ignore[attr-defined]  # of `outdated()`
    return Blocker(
        f"“{item}” was proven until {until:%-d %b %Y, %H:%M %Z} only; prove it again.",
        f"{deployment.get_absolute_url()}#item-{item.pk}",
    )


def _of_unknown_run(run: Run) -> Blocker:
    return Blocker(
        f"Run {run.pk} ({run.kind}) was lost while it changed {run.target}; somebody has to decide what "
        "became of it.",
        reverse("runs:run", args=[run.pk]),
    )
