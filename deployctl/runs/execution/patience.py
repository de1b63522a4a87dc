"""Writing to our own database while it may be restarting."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection

RETRY_S = 0.5

Result = TypeVar("Result")


def patiently(write: Callable[[], Result], *, while_: Callable[[], bool]) -> Result:
    """Do something with the database, again and again while it cannot be reached.

    Also settles deadlocks: one side of them is asked to try again.

    Args:
        write: a whole transaction, for it may be repeated.
        while_: whether trying again still makes sense; the lease bounds it.

    Raises:
        OperationalError, InterfaceError: it does not.
    """
    while True:
        try:
            return write()
        except (OperationalError, InterfaceError):
            if connection.in_atomic_block or not while_():
                raise
            connection.close()
            time.sleep(RETRY_S)
