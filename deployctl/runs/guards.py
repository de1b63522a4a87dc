"""What must still hold when a worker takes a run: more than when the button was pressed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from deployctl.accounts.models import User
from deployctl.errors import NotAllowed, Refusal
from deployctl.runs import refusals, two_people
from deployctl.runs.permissions import may_operate

if TYPE_CHECKING:
    from deployctl.runs.models import Run

_Guard = TypeVar("_Guard", bound="Callable[[Run], object]")
_on_claim: list[Callable[[Run], object]] = []


def on_claim(guard: _Guard) -> _Guard:
    """Have a function called with each claimed run before anything is done; it may raise `Refusal`.

    May be used as a decorator.
    """
    if guard not in _on_claim:
        _on_claim.append(guard)
    return guard


def check_claim(run: Run) -> None:
    """Ask our own guard and every registered one.

    Raises:
        Refusal, NotAllowed: with the reason; nothing was done.
    """
    if run.target.archived_at is not None:
        raise Refusal(f"{run.target} was archived after this run was requested. Nothing was done.")
    if run.requested_by_id is not None:
        # Read again: permissions may have been taken away since.
        person = User.objects.get(pk=run.requested_by_id)
        if not may_operate(person):
            raise NotAllowed(
                f"{person.name} may no longer start operations. Nothing was done. "
                "Ask an operator to start it."
            )
    # So may the target: what was asked for on staging is not done to production.
    if reason := refusals.why_not(run.target, run.operation, authority=run.authority):
        raise Refusal(f"{reason} Nothing was done.")
    two_people.refuse_too_few(run)
    for guard in _on_claim:
        guard(run)
