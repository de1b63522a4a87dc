"""What a person is asked before something is overwritten, and what is said to whoever has not answered."""

from __future__ import annotations

from typing import NamedTuple

from deployctl.errors import InvalidInput
from deployctl.operations.base import Operation
from deployctl.runs import two_people
from deployctl.runs.models.environment import Environment
from deployctl.runs.models.target import Target


class Question(NamedTuple):
    """What a form asks: on production the name is typed, elsewhere a box is ticked that carries it."""

    target: Target
    says: str
    needs_second_person: bool


def question(target: Target, operation: type[Operation]) -> Question | None:
    """What is asked before an operation starts on a target; None where nothing is overwritten."""
    if not operation.overwrites:
        return None
    said = operation.overwrites.format(target=target.name)
    return Question(target, said, two_people.needed(target, operation))


def refuse_unconfirmed(target: Target, operation: type[Operation], typed_name: str) -> None:
    """Have whoever starts it say which target is overwritten.

    Args:
        typed_name: the target's name, as it was typed or as the ticked box carries it.

    Raises:
        InvalidInput: it is another name, or none.
    """
    asked = question(target, operation)
    if asked is None:
        return
    if asked.needs_second_person or typed_name:
        refuse_another_name(target, typed_name)
    else:
        raise InvalidInput(
            f"Nothing was started. {asked.says} Tick the box that says so and press again; on the command "
            "line, add --yes."
        )


def refuse_another_name(target: Target, typed: str) -> None:
    """Have the person read which target it is.

    Raises:
        InvalidInput: what was typed is not exactly its name.
    """
    if typed == target.name:
        return
    told = f"typed was “{typed[:60]}”" if typed else "it was left empty"
    why = f" {target} is production." if target.environment == Environment.PRODUCTION else ""
    raise InvalidInput(f"Nothing was done. Type the target's name, {target.name}, exactly: {told}.{why}")
