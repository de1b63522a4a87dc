"""Why a run is to stop before its end, and everything that has to hear of it."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from enum import StrEnum

from deployctl.operations.base import Cancelled


class Reason(StrEnum):
    """Why."""

    CANCELLED = "cancelled"
    TIME_LIMIT = "time limit"
    SHUTDOWN = "the worker was told to stop"
    LEASE_LOST = "the lease was lost"


class Stop:
    """Asked for once; the first reason stands. May be used from several threads and a signal handler.

    Only a lost lease outweighs the others: from then on nothing may be written, and nobody may wait for it.
    """

    def __init__(self) -> None:
        self._asked = threading.Event()
        self.reason: Reason | None = None

    def ask(self, reason: Reason) -> None:
        """Have the run stop."""
        if self.reason is None or reason == Reason.LEASE_LOST:
            self.reason = reason
        self._asked.set()

    def __bool__(self) -> bool:
        return self._asked.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleep, but not longer than until somebody asks."""
        return self._asked.wait(seconds)

    def raise_if_asked(self) -> None:
        """Raise `Cancelled` once somebody asked."""
        if self:
            raise Cancelled(self.reason)

    @contextlib.contextmanager
    def on_terminate(self) -> Iterator[None]:
        """Let SIGTERM to this process stop the run in order, and end the process only afterwards.

        A worker told to stop lets its runs finish; TERM reaches a pool process only when that took too long
        or when a service manager signals the whole group.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        received = threading.Event()

        def note(*_: object) -> None:
            received.set()
            self.ask(Reason.SHUTDOWN)

        before = signal.signal(signal.SIGTERM, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)
            if received.is_set():
                signal.raise_signal(signal.SIGTERM)
