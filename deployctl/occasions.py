"""Telling higher floors that something happened, inside the transaction in which it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, ParamSpec

P = ParamSpec("P")


class Occasion(Generic[P]):
    """Something that happens. Calling it registers a listener, once; one that raises undoes what happened."""

    def __init__(self) -> None:
        self._listeners: list[Callable[P, object]] = []

    def __call__(self, listener: Callable[P, object]) -> Callable[P, object]:
        """Register; usable as a decorator. Registering the same function again changes nothing."""
        if listener not in self._listeners:
            self._listeners.append(listener)
        return listener

    def forget(self, listener: Callable[P, object]) -> None:
        """Take a listener out again (tests do)."""
        self._listeners.remove(listener)

    def tell(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Call every listener, in the order of registration."""
        for listener in self._listeners:
            listener(*args, **kwargs)
