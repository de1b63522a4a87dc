"""Actors: a person, or a named part of the system such as a worker or the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable


@runtime_checkable
class Person(Protocol):
    """The attributes of a user that the audit log needs. The model itself is in a higher layer."""

    @property
    def pk(self) -> Any:
        """The user's primary key."""

    @property
    def name(self) -> str:
        """The user's current name."""


@dataclass(frozen=True)
class Machine:
    """An actor that isn't a signed-in person, such as `Machine("worker")`.

    Attributes:
        name: display name: what acted, and for whom if known.
    """

    name: str

    def __str__(self) -> str:
        return self.name


Actor: TypeAlias = Person | Machine


def actor_name(by: Actor) -> str:
    """Return the actor's current name, cut to the 200 characters that entries and rows store."""
    return by.name[:200]


def actor_user(by: Actor) -> Person | None:
    """Return the actor if it is a person, None for a machine."""
    return None if isinstance(by, Machine) else by
