"""The states of a run, and the queryset of runs."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models.functions import Now

from deployctl.runs.permissions import may_operate, may_see

if TYPE_CHECKING:
    from deployctl.runs.models.run import Run

# The dispatcher sends a message again after this time. It does so less often for old runs; otherwise a long
# queue would fill with copies of the same message.
REPEAT_AFTER = dt.timedelta(seconds=10)
REPEAT_OLD_AFTER = dt.timedelta(seconds=60)
# By this time the requesting process has sent the message, given up or died.
UNSENT_AFTER = dt.timedelta(seconds=4)


class RunState(models.TextChoices):
    """The state of a run. `unknown`: its worker was lost while it changed the target; a person decides."""

    WAITING = "waiting", "Waiting for a second person"
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"
    INTERRUPTED = "interrupted", "Interrupted"
    UNKNOWN = "unknown", "Unknown"


# An exclusive run in one of these states blocks other exclusive runs on its target.
HOLDING = (RunState.QUEUED, RunState.RUNNING, RunState.UNKNOWN)
# A run waits this long for consent; later, what the requester saw may no longer be true.
CONSENT_TIMEOUT = dt.timedelta(hours=1)
UNFINISHED = (RunState.WAITING, RunState.QUEUED, RunState.RUNNING)


class RunQuerySet(models.QuerySet["Run"]):
    """Runs, by permission and state."""

    def visible_to(self, user: Any) -> RunQuerySet:
        """Return the runs that a user may see (`runs.permissions` decides)."""
        return self.all() if may_see(user) else self.none()

    def unfinished(self) -> RunQuerySet:
        """Return the runs that are waiting, queued or running."""
        return self.filter(state__in=UNFINISHED)

    def waiting_for(self, user: Any) -> RunQuerySet:
        """Return the runs that a user may consent to: not their own, and not answered by them yet."""
        if not may_operate(user):
            return self.none()
        answered = models.Q(requested_by=user) | models.Q(consents__by=user)
        return self.filter(state=RunState.WAITING).exclude(pk__in=self.filter(answered).values("pk"))

    def consent_expired(self) -> RunQuerySet:
        """Return the waiting runs whose time for consent is over, by the database's clock."""
        return self.filter(state=RunState.WAITING, requested_at__lt=Now() - CONSENT_TIMEOUT)

    def holding(self) -> RunQuerySet:
        """Return the exclusive runs that block others on their target."""
        return self.filter(exclusive=True, state__in=HOLDING)

    def newest_ended(self, target_id: int, kind: str) -> Run | None:
        """Return the last run of an operation on a target that succeeded or failed."""
        ended = self.filter(target=target_id, kind=kind, state__in=[RunState.SUCCEEDED, RunState.FAILED])
        return ended.order_by("-finished_at", "-pk").first()

    def held(self, run: Run) -> RunQuerySet:
        """Return the row of a run if its token is valid. Every write of a worker uses this filter."""
        return self.filter(pk=run.pk, state=RunState.RUNNING, token=run.token)

    def abandoned(self) -> RunQuerySet:
        """Return the running runs whose lease has expired, by the database's clock."""
        return self.filter(state=RunState.RUNNING, lease_until__lt=Now())

    def undelivered(self) -> RunQuerySet:
        """Return the queued runs whose message may be lost."""
        unsent = models.Q(published_at=None, requested_at__lt=Now() - UNSENT_AFTER)
        stale = models.Q(published_at__lt=Now() - REPEAT_AFTER, requested_at__gt=Now() - REPEAT_OLD_AFTER)
        stale_old = models.Q(published_at__lt=Now() - REPEAT_OLD_AFTER)
        return self.filter(unsent | stale | stale_old, state=RunState.QUEUED)
