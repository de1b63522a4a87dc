"""Retry writes while our database is unreachable."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection

RETRY_S = 0.5

Result = TypeVar("Result")


def retry_until_reachable(write: Callable[[], Result], *, while_: Callable[[], bool]) -> Result:
    """Retry a transaction until the database is reachable; deadlocks are retried as well.

    Args:
        write: a whole transaction, because it may be repeated.
        while_: returns False to give up, for example after the lease is lost.

    Raises:
        OperationalError, InterfaceError: `while_` returned False.
    """
    while True:
        try:
            return write()
        except (OperationalError, InterfaceError):
            if connection.in_atomic_block or not while_():
                raise
            connection.close()
            time.sleep(RETRY_S)
