"""Waiting for something to happen, on a machine that may have much else to do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

POLL_S = 0.02
# A turn, looking included, takes this long at most where nothing else keeps the machine busy.
TURN_S = 0.1
LONG_S = 60.0


def until(condition: Callable[[], Any], seconds: float = LONG_S) -> float:
    """Wait for something; fail when it does not happen.

    Time counts only as far as this process had its turn in it: what has to be gone within two seconds is
    given as many looks as two seconds hold, and where a busy machine hands them out slowly, to us and to
    what we wait for alike, no test fails for it. On a quiet machine these are the seconds of the clock.

    Args:
        seconds: how long at most, counted so.

    Returns:
        The seconds it took, counted so.
    """
    took, turned = 0.0, time.monotonic()
    while not condition():
        assert took < seconds, f"waited in vain for {seconds:g} s"
        time.sleep(POLL_S)
        now = time.monotonic()
        took += min(now - turned, TURN_S)
        turned = now
    return took
