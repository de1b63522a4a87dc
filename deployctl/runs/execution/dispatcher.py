"""Tells workers again about queued runs that nobody took: a broker may lose every message it had."""

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
