"""Where a run can be, and the questions about runs that have names."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models.functions import Now

from deployctl.runs.permissions import may_operate, may_see

if TYPE_CHECKING:
    from deployctl.runs.models.run import Run

# A hint that the broker lost is given again after this long, and later on less often: a queue that is
# merely long would otherwise fill with copies of one message.
REPEAT_AFTER = dt.timedelta(seconds=10)
REPEAT_OLD_AFTER = dt.timedelta(seconds=60)
# Whoever requested it has told the broker by then, or has given up, or is dead.
UNTOLD_AFTER = dt.timedelta(seconds=4)


class RunState(models.TextChoices):
    """Where a run is. `unknown`: the worker was lost while it changed the target; a person decides."""

    WAITING = "waiting", "Waiting for a second person"
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"
    INTERRUPTED = "interrupted", "Interrupted"
    UNKNOWN = "unknown", "Unknown"


# Nobody else may touch the target exclusively while a run is in one of these.
HOLDING = (RunState.QUEUED, RunState.RUNNING, RunState.UNKNOWN)
# How long a run waits for a second person: who asked is likely still there, what they saw is likely still so.
WAITS_FOR = dt.timedelta(hours=1)
UNFINISHED = (RunState.WAITING, RunState.QUEUED, RunState.RUNNING)


class RunQuerySet(models.QuerySet["Run"]):
    """Runs, by who may see them and what is to be done about them."""

    def visible_to(self, user: Any) -> RunQuerySet:
        """The runs that somebody may look at (`runs.permissions` decides)."""
        return self.all() if may_see(user) else self.none()

    def unfinished(self) -> RunQuerySet:
        """Waiting, queued or running."""
        return self.filter(state__in=UNFINISHED)

    def waiting_for(self, user: Any) -> RunQuerySet:
        """Runs to which somebody's consent is asked for: not their own, and not answered by them yet."""
        if not may_operate(user):
            return self.none()
        answered = models.Q(requested_by=user) | models.Q(consents__by=user)
        return self.filter(state=RunState.WAITING).exclude(pk__in=self.filter(answered).values("pk"))

    def lapsed(self) -> RunQuerySet:
        """Waiting for longer than they may, by the database's clock."""
        return self.filter(state=RunState.WAITING, requested_at__lt=Now() - WAITS_FOR)

    def holding(self) -> RunQuerySet:
        """Exclusive runs that keep their target to themselves."""
        return self.filter(exclusive=True, state__in=HOLDING)

    def newest_ended(self, target_id: int, kind: str) -> Run | None:
        """The last run of an operation on a target that said something: it succeeded or failed."""
        ended = self.filter(target=target_id, kind=kind, state__in=[RunState.SUCCEEDED, RunState.FAILED])
        return ended.order_by("-finished_at", "-pk").first()

    def held(self, run: Run) -> RunQuerySet:
        """The row of a run while its worker's claim stands; every write of a worker goes through here."""
        return self.filter(pk=run.pk, state=RunState.RUNNING, token=run.token)

    def abandoned(self) -> RunQuerySet:
        """Running, but nobody renewed the lease in time, by the database's clock."""
        return self.filter(state=RunState.RUNNING, lease_until__lt=Now())

    def unheard(self) -> RunQuerySet:
        """Queued for a while: the broker may never have had the message, or lost it."""
        untold = models.Q(published_at=None, requested_at__lt=Now() - UNTOLD_AFTER)
        silent = models.Q(published_at__lt=Now() - REPEAT_AFTER, requested_at__gt=Now() - REPEAT_OLD_AFTER)
        silent_long = models.Q(published_at__lt=Now() - REPEAT_OLD_AFTER)
        return self.filter(untold | silent | silent_long, state=RunState.QUEUED)
