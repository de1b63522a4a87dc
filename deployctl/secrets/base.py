"""Base classes: a secret value that is never printed by accident, and a source of secrets."""

from __future__ import annotations

import abc
from typing import ClassVar

from deployctl.errors import DeployctlError


class SecretError(DeployctlError):
    """A secret could not be read. The message never contains any part of its value."""


class Secret:
    """A value that does not appear in logs, tracebacks, templates or debuggers unless it is revealed."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value. Pass it directly to the code that needs it."""
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
        # A pickled secret could be sent through a message broker.
        raise TypeError("Secrets cannot be pickled")


class SecretSource(abc.ABC):
    """A place that holds secrets. Each module in `sources/` defines one subclass, found by discovery.

    `scheme` is the part of a reference before the colon; `help` is shown next to the form field.
    """

    scheme: ClassVar[str]
    help: ClassVar[str]

    @abc.abstractmethod
    def check(self, rest: str) -> None:
        """Validate the syntax of a reference without reading the secret.

        Args:
            rest: the part of the reference after the scheme and the colon.

        Raises:
            SecretError: the reference is malformed.
        """

    @abc.abstractmethod
    def read(self, rest: str) -> str:
        """Return the value of the secret.

        Args:
            rest: the part of the reference after the scheme and the colon.

        Raises:
            SecretError: the secret could not be read. The message says what to do.
        """
