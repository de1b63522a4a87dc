"""Where two people have to stand behind a run, and what is said where they do not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from deployctl.errors import InvalidInput, NotAllowed, Refusal
from deployctl.operations import choosing
from deployctl.operations.base import Operation
from deployctl.operations.parameters import parameters_of
from deployctl.runs.models.environment import Environment
from deployctl.runs.models.target import Target
from deployctl.runs.permissions import may_operate

if TYPE_CHECKING:
    from deployctl.runs.models import Run

PEOPLE = 2


def needed(target: Target, operation: type[Operation]) -> bool:
    """Whether an operation on a target waits for a second person."""
    return operation.needs_second_person and target.environment == Environment.PRODUCTION


def named(target: Target, operation: type[Operation], params: Mapping[str, object]) -> dict[str, object]:
    """The parameters with what is to be done with: the second person consents to that, and to nothing newer.

    Raises:
        InvalidInput: it was not named, and there is nothing to choose from.
    """
    from deployctl.runs.models.retention import kept_backups  # needs the model that calls this

    name = operation.named_to_second_person
    if not name or str(params.get(name) or "").strip():
        return dict(params)
    ours = choosing.ours(kept_backups(target))
    if name == "backup" and ours:
        return {**params, name: max(ours, key=choosing.by_trust).name}
    label = next(found.label for found in parameters_of(operation.Params) if found.name == name)
    raise InvalidInput(
        f"Nothing was done. Name one under “{label}”: {target} is production, and the second person "
        "consents to exactly what is named."
    )


def refuse_too_few(run: Run) -> None:
    """Ask once more when a worker takes the run, for the target or people may have changed meanwhile.

    Raises:
        Refusal: it needs a second person, and did not wait for one.
        NotAllowed: somebody who consented may no longer operate.
    """
    if not needed(run.target, run.operation):
        return
    consents = list(run.consents.filter(given=True).select_related("by"))
    for consent in consents:
        if not may_operate(consent.by):
            raise NotAllowed(
                f"{consent.by.name}, who consented, may no longer start operations. Nothing was done. "
                "Request it again, and have another operator consent."
            )
    if len(consents) < run.consents_needed:
        raise Refusal(
            f"{run.target} is production by now, and “{run.title}” needs a second person there. "
            "Nothing was done. Request it again."
        )
