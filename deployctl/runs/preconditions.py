"""The preconditions for requesting, confirming, consenting to and claiming a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from deployctl.accounts.models import User
from deployctl.errors import InvalidInput, NotAllowed, Refusal
from deployctl.operations.backup import backup_selection
from deployctl.operations.framework.base import Operation
from deployctl.operations.framework.parameters import parameters_of
from deployctl.runs.hooks import run_claimed
from deployctl.runs.models.retention import kept_backups
from deployctl.runs.models.run_states import RunState
from deployctl.runs.models.target import Environment, Target
from deployctl.runs.permissions import may_operate

if TYPE_CHECKING:
    from deployctl.runs.models import Run

# The requester counts, unless the run was requested on the command line.
PEOPLE_REQUIRED = 2


# --- Request ---


def unavailable_reason(target: Target, operation: type[Operation], *, authority: str) -> str:
    """Return why an operation cannot start on a target as configured, "" if it can.

    Args:
        authority: what permits the run, see `Run.request`.
    """
    if target.archived_at is not None:
        return f"{target} is archived."
    if operation.physical and not hasattr(target, "physical_engine"):
        return (
            f"“{operation.title}” needs a physical engine, and {target} has none. An administrator can set "
            "its pgBackRest stanza in the target's settings."
        )
    is_production = target.environment == Environment.PRODUCTION
    # A restore after a disaster, approved by two people, cannot wait for the gate of a deployment.
    if operation.changes_target and is_production and not (authority or operation.needs_second_person):
        return (
            f"“{operation.title}” changes {target}, which is in production. "
            "Start it from a deployment whose first gate is signed."
        )
    return ""


def require_available(target: Target, operation: type[Operation], authority: str) -> None:
    """Raise `Refusal` with the reason that `unavailable_reason` returns."""
    if reason := unavailable_reason(target, operation, authority=authority):
        raise Refusal(f"Nothing was started. {reason}")


def busy_message(busy: Run | None, target: Target, operation: type[Operation]) -> str:
    """Return the message that another run holds the target.

    Args:
        busy: the other run; None if it has just ended.
    """
    if busy is None:
        return f"Another run on {target} has just ended. Nothing was started. Try again."
    message = (
        f"“{operation.title}” wasn't started: {busy.requested_by_name} started “{busy.title}” on {target} "
        f"(run {busy.pk}), and its state is “{busy.get_state_display()}”. "
    )
    if busy.state == RunState.WAITING:
        return message + "Ask another operator to consent to that run, or cancel it."
    if busy.state == RunState.UNKNOWN:
        return message + "Its worker was lost. Check the target, and record the outcome on the run's page."
    return message + "Wait for it to end, or cancel it."


def not_cancellable_message(run: Run) -> str:
    """Return the message for a run that has ended, or is being cancelled already."""
    if run.state == RunState.RUNNING:
        return f"Run {run.pk} is already being cancelled by {run.cancel_requested_by_name}."
    return f"Run {run.pk} has already ended ({run.get_state_display().lower()})."


# --- Confirmation ---


class Confirmation(NamedTuple):
    """The confirmation that a form asks for: a typed name on production, a ticked box elsewhere."""

    target: Target
    text: str
    needs_second_person: bool


def confirmation(target: Target, operation: type[Operation]) -> Confirmation | None:
    """Return the confirmation that an operation needs on a target, None if it overwrites nothing."""
    if not operation.overwrites:
        return None
    text = operation.overwrites.format(target=target.name)
    return Confirmation(target, text, needs_second_person(target, operation))


def require_confirmation(target: Target, operation: type[Operation], typed_name: str) -> None:
    """Require the target's name if the operation overwrites something.

    Args:
        typed_name: the name as typed, or as sent by the ticked box.

    Raises:
        InvalidInput: the name is missing or different.
    """
    required = confirmation(target, operation)
    if required is None:
        return
    if required.needs_second_person or typed_name:
        require_typed_name(target, typed_name)
    else:
        raise InvalidInput(
            f"Nothing was started. {required.text} Tick the box to confirm and try again; on the command "
            "line, add --yes."
        )


def require_typed_name(target: Target, typed: str) -> None:
    """Require the exact name of the target.

    Raises:
        InvalidInput: another text was typed.
    """
    if typed == target.name:
        return
    input_text = f"You typed “{typed[:60]}”." if typed else "You left it empty."
    why = (
        f"{target} is in production, so nothing"
        if target.environment == Environment.PRODUCTION
        else "Nothing"
    )
    raise InvalidInput(f"{input_text} {why} was done. Type the target's name exactly: {target.name}")


# --- Second person ---


def needs_second_person(target: Target, operation: type[Operation]) -> bool:
    """Return True if an operation on a target waits for a second person."""
    return operation.needs_second_person and target.environment == Environment.PRODUCTION


def pin_choice(target: Target, operation: type[Operation], params: Mapping[str, object]) -> dict[str, object]:
    """Return the parameters with the default choice filled in, because the second person consents to it.

    Raises:
        InvalidInput: nothing was chosen, and there is no default.
    """
    name = operation.consent_parameter
    if not name or str(params.get(name) or "").strip():
        return dict(params)
    own = backup_selection.made_here(kept_backups(target))
    if name == "backup" and own:
        return {**params, name: max(own, key=backup_selection.trust_order).name}
    label = next(one.label for one in parameters_of(operation.Params) if one.name == name)
    raise InvalidInput(
        f"Nothing was done. Fill in “{label}”: {target} is in production, and the second person consents "
        "to that exact value."
    )


def not_waiting_message(run: Run) -> str:
    """Return the message for a run that doesn't wait for consent."""
    others = [consent.by_name for consent in run.consents.filter(given=True)]
    consented = f", and {' and '.join(others)} consented" if others else ""
    return (
        f"Run {run.pk} isn't waiting for consent: its state is “{run.get_state_display()}”{consented}. "
        "Nothing was changed."
    )


# --- Claim ---


def check_claim(run: Run) -> None:
    """Check the preconditions of a claimed run again; permissions and the target may have changed.

    Calls the handlers of `run_claimed` last.

    Raises:
        Refusal, NotAllowed: with the reason; nothing was done.
    """
    if run.target.archived_at is not None:
        raise Refusal(f"{run.target} was archived after the run was requested. Nothing was done.")
    if run.requested_by_id is not None:
        person = User.objects.get(pk=run.requested_by_id)
        if not may_operate(person):
            raise NotAllowed(
                f"{person.name} is no longer an operator. Nothing was done. Ask an operator to start the run."
            )
    if reason := unavailable_reason(run.target, run.operation, authority=run.authority):
        raise Refusal(f"{reason} Nothing was done.")
    _require_consents(run)
    run_claimed.send(run)


def _require_consents(run: Run) -> None:
    if not needs_second_person(run.target, run.operation):
        return
    consents = list(run.consents.filter(given=True).select_related("by"))
    for consent in consents:
        if not may_operate(consent.by):
            raise NotAllowed(
                f"{consent.by.name}, who consented, is no longer an operator. Nothing was done. "
                "Request the run again, and ask another operator to consent."
            )
    if len(consents) < run.consents_needed:
        raise Refusal(
            f"{run.target} is in production now, where “{run.title}” needs a second person. "
            "Nothing was done. Request the run again."
        )
