"""Why an item does not change, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils import timezone

from checklists.models.item_states import ItemState
from deployctl.errors import Refusal
from deployctl.runs.models import Run, RunState

if TYPE_CHECKING:
    from datetime import datetime

    from checklists.models.deployment import Deployment
    from checklists.models.item import Item


def how_it_stands(item: Item) -> str:
    """Who brought an item where it is, and when: for whoever came second."""
    state = ItemState(item.state)
    if state == ItemState.DONE:
        completion = item.completions.filter(undone_at=None).first()
        who = f"{completion.by_name} on {_at(completion.at)}" if completion else "its sub-items"
        told = f"was done already, by {who}"
    elif state == ItemState.WAIVED:
        waiver = item.waivers.filter(withdrawn_at=None).first()
        who = f"{waiver.by_name} on {_at(waiver.at)} ({waiver.reason})" if waiver else "its sub-items"
        told = f"was waived already, by {who}"
    elif state == ItemState.FAILED:
        told = "has failed; its last proof says why"
    else:
        undone = item.completions.exclude(undone_at=None).order_by("-undone_at").first()
        told = "is open"
        if undone is not None and undone.undone_at is not None:
            told += f"; {undone.undone_by_name} opened it again on {_at(undone.undone_at)}"
    return f"“{item}” {told}. You changed nothing; this is how it stands now."


def refuse_parent(item: Item) -> None:
    """An item with sub-items is what they are together.

    Raises:
        Refusal: it has some.
    """
    if item.children.exists():
        raise Refusal(f"“{item}” follows its sub-items. Nothing was changed; tick, waive or open those.")


def refuse_busy_target(what: str, deployment: Deployment, *, waits: bool) -> None:
    """Ask before the database's constraints do, for what must be alone on the target.

    A run that is just ending holds its place in that constraint while it waits for this deployment's lock:
    to insert now would have each wait for the other.

    Args:
        what: is to be started, as it reads at the beginning of a sentence.
        waits: for a second person; then only another one that waits is in the way.

    Raises:
        Refusal: something holds the target.
    """
    runs = Run.objects.filter(target=deployment.target)
    busy = (runs.filter(state=RunState.WAITING) if waits else runs.holding()).first()
    if busy is not None:
        raise Refusal(
            f"{what} was not started: {busy.requested_by_name} started run {busy.pk} ({busy.kind}) on "
            f"{deployment.target}, which is {busy.get_state_display().lower()}. Wait until it has ended, "
            "cancel it, or decide its outcome on its page."
        )


def _at(moment: datetime) -> str:
    return f"{timezone.localtime(moment):%-d %b at %H:%M %Z}"
