"""Send the tasks of queued runs again, and cancel runs to which nobody consented in time."""

from __future__ import annotations

from deployctl.runs.models import Run

BATCH_SIZE = 200


def dispatch() -> int:
    """Send the tasks of undelivered runs again; duplicate messages are harmless.

    Returns:
        The number of messages sent.
    """
    sent = 0
    for run in Run.objects.undelivered()[:BATCH_SIZE]:
        if not run.publish():
            break  # the broker is unreachable; the next call tries again
        sent += 1
    return sent


def expire_consents() -> int:
    """Cancel the runs to which nobody consented in time.

    Returns:
        The number of runs cancelled.
    """
    return sum(run.expire_consent() for run in Run.objects.consent_expired().select_related("target"))
