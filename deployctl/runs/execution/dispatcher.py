"""Sends the tasks of queued runs again, and cancels runs that waited too long for consent."""

from __future__ import annotations

from deployctl.runs.models import Run

BATCH_SIZE = 200


def dispatch() -> int:
    """Send the tasks of queued runs again; duplicate messages are harmless.

    Returns:
        The number of messages sent.
    """
    sent = 0
    for run in Run.objects.undelivered()[:BATCH_SIZE]:
        if not run.publish():
            break  # the broker is unreachable: the next tick tries again
        sent += 1
    return sent


def lapse() -> int:
    """Cancel the runs that waited too long for consent.

    Returns:
        The number of runs.
    """
    return sum(run.lapse() for run in Run.objects.lapsed().select_related("target"))
