"""Keeps a run's lease while its worker lives, and hears of cancellation and time limits."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Self

from django.db import DatabaseError, InterfaceError, connection

from deployctl.runs.execution.stopping import Reason, Stop
from deployctl.runs.models import LeaseLost, Run
from deployctl.runs.models.lease import LEASE

logger = logging.getLogger(__name__)

TICK_S = 1.0
RENEW_EVERY_S = 10.0
# By our own clock, in case the database cannot be asked: before others may take the run from us.
GIVE_UP_AFTER_S = LEASE.total_seconds() - 5


class Heartbeat:
    """A thread with a database session of its own; it dies with the process, and the lease with it.

    Args:
        run: claimed.
        stop: asked when the run is to end.
        time_limit_s: of the whole run, in seconds.
        while_stopping: called about once a second from the moment somebody asked to stop.
    """

    def __init__(
        self, run: Run, stop: Stop, *, time_limit_s: float, while_stopping: Callable[[], None]
    ) -> None:
        self._run, self._stop, self._while_stopping = run, stop, while_stopping
        self._ended = threading.Event()
        self._renewed = time.monotonic()
        self._deadline = time.monotonic() + time_limit_s
        self._thread = threading.Thread(target=self._beat, name=f"heart of run {run.pk}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        try:
            while not self._ended.wait(TICK_S):
                self._look()
                if time.monotonic() > self._deadline:
                    self._stop.ask(Reason.TIME_LIMIT)
                if self._stop:
                    self._while_stopping()
        finally:
            connection.close()

    def _look(self) -> None:
        now = time.monotonic()
        try:
            if now - self._renewed >= RENEW_EVERY_S:
                self._run.renew()
                self._renewed = now
            if self._run.is_to_be_cancelled():
                self._stop.ask(Reason.CANCELLED)
        except LeaseLost:
            # Also when the run has just been ended by ourselves.
            if not self._ended.is_set():
                self._stop.ask(Reason.LEASE_LOST)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("The lease of %s could not be renewed: %s", self._run.pk, error)
            connection.close()
            if now - self._renewed > GIVE_UP_AFTER_S:
                self._stop.ask(Reason.LEASE_LOST)
