"""Cancellation: the request to stop a run, and its reason."""

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
    SHUTDOWN = "the worker was told to stop"
    LEASE_LOST = "the lease was lost"


class StopSignal:
    """A request to stop. The first reason is kept. Safe in threads and signal handlers.

    Only a lost lease replaces an earlier reason, because from then on nothing may be written.
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
        """Wait for a request at most this long. Return True if there is one."""
        return self._requested.wait(seconds)

    def raise_if_requested(self) -> None:
        """Raise `Cancelled` if a stop was requested."""
        if self:
            raise Cancelled(self.reason)

    @contextlib.contextmanager
    def on_terminate(self) -> Iterator[None]:
        """Stop the run in an orderly way on SIGTERM, and end the process afterwards.

        A worker that shuts down lets its runs finish; SIGTERM reaches a pool process only if that takes too
        long, or if a service manager signals the whole group.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        received = threading.Event()

        def note(*_: object) -> None:
            received.set()
            self.request(StopReason.SHUTDOWN)

        before = signal.signal(signal.SIGTERM, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)
            if received.is_set():
                signal.raise_signal(signal.SIGTERM)
