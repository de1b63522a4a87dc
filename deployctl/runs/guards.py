"""What must still hold when a worker takes a run: more than when the button was pressed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployctl.accounts.models import User
from deployctl.errors import NotAllowed, Refusal
from deployctl.runs import hooks, refusals, two_people
from deployctl.runs.permissions import may_operate

if TYPE_CHECKING:
    from deployctl.runs.models import Run


def check_claim(run: Run) -> None:
    """Check what a claim needs, then notify the handlers of `run_claimed`.

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
    hooks.run_claimed.send(run)
