"""Who did it: a person, or a part of the machinery under a name of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable


@runtime_checkable
class Person(Protocol):
    """What the audit needs to know of a person; people live one floor up."""

    @property
    def pk(self) -> Any:
        """The number of the person."""

    @property
    def name(self) -> str:
        """The name at this moment."""


@dataclass(frozen=True)
class Machine:
    """Something that acts without a signed-in person, such as `Machine("worker")`.

    Attributes:
        name: words for the reader: what acted, and for whom where that is known.
    """

    name: str

    def __str__(self) -> str:
        return self.name


Actor: TypeAlias = Person | Machine


def actor_name(by: Actor) -> str:
    """The actor's name at this moment, as entries and rows keep it (at most 200 characters)."""
    return by.name[:200]


def actor_user(by: Actor) -> Person | None:
    """The actor as a person, or None for a machine."""
    return None if isinstance(by, Machine) else by
