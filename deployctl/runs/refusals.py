"""Why a run is not started, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployctl.errors import Refusal
from deployctl.operations.base import Operation
from deployctl.runs.models.environment import Environment
from deployctl.runs.models.run_states import RunState
from deployctl.runs.models.target import Target

if TYPE_CHECKING:
    from deployctl.runs.models.run import Run


def why_not(target: Target, operation: type[Operation], *, authority: str) -> str:
    """Why an operation may never start on a target as things are; "" when it may.

    Args:
        authority: what permits it, see `Run.request`.
    """
    if target.archived_at is not None:
        return f"{target} is archived."
    if operation.physical and not hasattr(target, "physical_engine"):
        return (
            f"“{operation.title}” is for targets with a physical engine, and {target} has none. An "
            "administrator names its pgBackRest stanza in the settings of the target."
        )
    is_production = target.environment == Environment.PRODUCTION
    # What two people stand behind needs no deployment: a disaster does not wait for its first gate.
    if operation.changes_target and is_production and not (authority or operation.needs_second_person):
        return (
            f"“{operation.title}” changes {target}, which is production. "
            "Start it from a deployment whose first gate is signed."
        )
    return ""


def refuse_unfit(target: Target, operation: type[Operation], authority: str) -> None:
    """Raise `Refusal` with what `why_not` says."""
    if reason := why_not(target, operation, authority=authority):
        raise Refusal(f"Nothing was started. {reason}")


def who_is_at_it(busy: Run | None, target: Target, operation: type[Operation]) -> str:
    """Who keeps others from a target, and what to do about it."""
    if busy is None:
        return f"Somebody else was working on {target} just now. Nothing was started. Try again."
    told = f"“{operation.title}” was not started: {busy.requested_by_name} started "
    told += f"“{busy.title}” on {target} (run {busy.pk}), which is {busy.get_state_display().lower()}. "
    if busy.state == RunState.WAITING:
        return told + "Have somebody consent to that one, or cancel it."
    if busy.state == RunState.UNKNOWN:
        return (
            told + "Its worker was lost. Look at the target and decide on the run's page what became of it."
        )
    return told + "Wait until it has ended, or cancel it."


def why_not_cancelled(run: Run) -> str:
    """Why a run cannot be cancelled (again)."""
    if run.state == RunState.RUNNING:
        return f"Run {run.pk} is being cancelled already: {run.cancel_requested_by_name} asked for it."
    return f"Run {run.pk} has ended: {run.get_state_display().lower()}. It needs no cancelling."
