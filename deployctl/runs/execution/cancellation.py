"""Request a run to stop, and keep the reason."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from enum import StrEnum

from deployctl.operations.framework.base import Cancelled


class StopReason(StrEnum):
    """The reason to stop a run."""

    CANCELLED = "cancelled"
    TIME_LIMIT = "time limit"
    SHUTDOWN = "worker shutdown"
    LEASE_LOST = "lease lost"


class StopSignal:
    """A request to stop a run. Safe in threads and signal handlers.

    The first reason is kept. Only a lost lease replaces it, because after that nothing may be written.
    """

    def __init__(self) -> None:
        self._requested = threading.Event()
        self.reason: StopReason | None = None

    def request(self, reason: StopReason) -> None:
        """Request the run to stop."""
        if self.reason is None or reason == StopReason.LEASE_LOST:
            self.reason = reason
        self._requested.set()

    def __bool__(self) -> bool:
        return self._requested.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for a request. Return True if there is one, False after the time is over."""
        return self._requested.wait(seconds)

    def raise_if_requested(self) -> None:
        """Raise `Cancelled` if a stop was requested."""
        if self:
            raise Cancelled(self.reason)

    @contextlib.contextmanager
    def on_terminate(self) -> Iterator[None]:
        """On SIGTERM, stop the run first, then end the process.

        A worker that shuts down lets its runs finish. SIGTERM reaches a pool process only if that takes too
        long, or if a service manager signals the whole process group.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        received = threading.Event()

        def on_signal(*_: object) -> None:
            received.set()
            self.request(StopReason.SHUTDOWN)

        previous = signal.signal(signal.SIGTERM, on_signal)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, previous)
            if received.is_set():
                signal.raise_signal(signal.SIGTERM)
