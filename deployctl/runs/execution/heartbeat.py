"""Renew the lease of a run while its worker lives, and watch for cancellation and the time limit."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Self

from django.db import DatabaseError, InterfaceError, connection

from deployctl.runs.execution.cancellation import StopReason, StopSignal
from deployctl.runs.models import LeaseLost, Run
from deployctl.runs.models.lease import LEASE

logger = logging.getLogger(__name__)

TICK_S = 1.0
RENEW_EVERY_S = 10.0
# By the local clock, for an unreachable database: give up before another worker may take over the run.
GIVE_UP_AFTER_S = LEASE.total_seconds() - 5


class Heartbeat:
    """A thread that renews the lease, with its own database session. If the process dies, the lease expires.

    Args:
        run: the claimed run.
        stop: receives the reason to stop.
        time_limit_s: the time limit of the run, in seconds.
        while_stopping: called about once a second after a request to stop.
    """

    def __init__(
        self, run: Run, stop: StopSignal, *, time_limit_s: float, while_stopping: Callable[[], None]
    ) -> None:
        self._run, self._stop, self._while_stopping = run, stop, while_stopping
        self._ended = threading.Event()
        self._renewed = time.monotonic()
        self._deadline = time.monotonic() + time_limit_s
        self._thread = threading.Thread(target=self._beat, name=f"heartbeat of run {run.pk}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        try:
            while not self._ended.wait(TICK_S):
                self._check()
                if time.monotonic() > self._deadline:
                    self._stop.request(StopReason.TIME_LIMIT)
                if self._stop:
                    self._while_stopping()
        finally:
            connection.close()

    def _check(self) -> None:
        now = time.monotonic()
        try:
            if now - self._renewed >= RENEW_EVERY_S:
                self._run.renew()
                self._renewed = now
            if self._run.is_cancel_requested():
                self._stop.request(StopReason.CANCELLED)
        except LeaseLost:
            # This also happens when this worker has just ended the run.
            if not self._ended.is_set():
                self._stop.request(StopReason.LEASE_LOST)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("The lease of run %s could not be renewed: %s", self._run.pk, error)
            connection.close()
            if now - self._renewed > GIVE_UP_AFTER_S:
                self._stop.request(StopReason.LEASE_LOST)
