"""A secret value that does not show itself, and where such values come from."""

from __future__ import annotations

import abc
from typing import ClassVar

from deployctl.errors import DeployctlError


class SecretError(DeployctlError):
    """A secret could not be read; the message never holds any part of it."""


class Secret:
    """A value that shows only when asked: not in logs, tracebacks, templates or debuggers' lists."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself. Hand it straight to what needs it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret('…')"

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return repr(self)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        # Pickled, it could travel through a broker.
        raise TypeError("A secret is not pickled")


class SecretSource(abc.ABC):
    """A place that holds secrets. One subclass per file of `sources/`, found by discovery.

    `scheme` is the part before the colon of a reference; `help` is shown beside the field.
    """

    scheme: ClassVar[str]
    help: ClassVar[str]

    @abc.abstractmethod
    def check(self, rest: str) -> None:
        """Look at the form of a reference without reading anything.

        Args:
            rest: what follows the scheme and its colon.

        Raises:
            SecretError: it can never work.
        """

    @abc.abstractmethod
    def read(self, rest: str) -> str:
        """Read the value.

        Args:
            rest: what follows the scheme and its colon.

        Raises:
            SecretError: with what to do.
        """
