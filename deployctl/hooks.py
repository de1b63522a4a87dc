"""Let a package notify or query the packages above it, which it must not import.

A package declares its hooks in its `hooks.py`:

    run_finished: Hook[[Run], None] = Hook("run_finished", on_error="log")

The code that makes the event happen sends it: `run_finished.send(run)`. A package above connects handlers
in its `handlers.py`, which the `ready` method of its `AppConfig` imports:

    @run_finished.connect
    def settle_proofs(run: Run) -> None: ...
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Generic, Literal, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger(__name__)


class Hook(Generic[P, R]):
    """A point at which a package notifies handlers or collects their answers.

    Handlers run in the order in which they were connected, in the caller's transaction.

    Args:
        name: of the hook, for the log.
        on_error: "raise" passes a handler's exception on to the caller, whose transaction it undoes. "log"
            logs the exception with the handler's name and continues with the next handler.
        isolate: returns a context manager that wraps each handler, such as `transaction.atomic`, which rolls
            back what a failing handler wrote.
    """

    def __init__(
        self,
        name: str,
        *,
        on_error: Literal["raise", "log"],
        isolate: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self.name = name
        self._on_error = on_error
        self._isolate = isolate
        self._handlers: list[Callable[P, R]] = []

    def connect(self, handler: Callable[P, R]) -> Callable[P, R]:
        """Add a handler and return it, for use as a decorator. Connecting it again has no effect."""
        if handler not in self._handlers:
            self._handlers.append(handler)
        return handler

    def disconnect(self, handler: Callable[P, R]) -> None:
        """Remove a handler.

        Raises:
            ValueError: the handler is not connected.
        """
        self._handlers.remove(handler)

    @contextmanager
    def connected(self, handler: Callable[P, R]) -> Iterator[None]:
        """Connect a handler during a `with` block."""
        self.connect(handler)
        try:
            yield
        finally:
            self.disconnect(handler)

    def send(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Notify every handler that the event happened. Call it inside the transaction of the event."""
        self.collect(*args, **kwargs)

    def collect(self, *args: P.args, **kwargs: P.kwargs) -> list[R]:
        """Return every handler's answer. A handler whose exception was logged is left out."""
        answers = []
        for handler in list(self._handlers):
            try:
                with self._isolate():
                    answers.append(handler(*args, **kwargs))
            except Exception:
                if self._on_error == "raise":
                    raise
                logger.exception("Handler %s of %s failed", _name(handler), self.name)
        return answers


def _name(handler: Callable[..., object]) -> str:
    """Return the import path of a function; the representation of any other callable."""
    qualified = getattr(handler, "__qualname__", None)
    return f"{handler.__module__}.{qualified}" if qualified else repr(handler)
