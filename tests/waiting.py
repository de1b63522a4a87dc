"""Wait for a condition, with timeouts that tolerate a busy machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

POLL_S = 0.02
# The longest duration of one poll, with the check, on an idle machine.
MAX_POLL_S = 0.1
LONG_S = 60.0


def until(condition: Callable[[], Any], seconds: float = LONG_S) -> float:
    """Wait until a condition is true; fail if it doesn't become true in time.

    Each poll counts with at most MAX_POLL_S, so a busy machine, which delays this process and the one that
    is waited for, doesn't cause a timeout. On an idle machine, the result is the elapsed time.

    Args:
        condition: checked every POLL_S.
        seconds: the timeout, counted as described.

    Returns:
        The seconds waited, counted as described.
    """
    waited, last = 0.0, time.monotonic()
    while not condition():
        assert waited < seconds, f"the condition was not true after {seconds:g} s"
        time.sleep(POLL_S)
        now = time.monotonic()
        waited += min(now - last, MAX_POLL_S)
        last = now
    return waited
