"""Looks after runs that nobody took: tells workers again, gives up what waited too long for a person."""

from __future__ import annotations

from deployctl.runs.models import Run

AT_ONCE = 200


def dispatch() -> int:
    """Publish queued runs that have been silent for a while; a copy of a message does no harm.

    Returns:
        How many were published.
    """
    told = 0
    for run in Run.objects.unheard()[:AT_ONCE]:
        if not run.publish():
            break  # no broker: the next sweep tries again
        told += 1
    return told


def lapse() -> int:
    """Give up runs to which nobody consented in time.

    Returns:
        How many there were.
    """
    return sum(run.lapse() for run in Run.objects.lapsed().select_related("target"))
