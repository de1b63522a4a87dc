"""The columns of a run, and what can be read from them."""

from __future__ import annotations

import datetime as dt
from typing import Any, cast

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from deployctl import audit
from deployctl.audit import Actor, wording
from deployctl.audit.actions import Action
from deployctl.operations import catalogue
from deployctl.operations.base import Operation
from deployctl.operations.parameters import parameters_of
from deployctl.operations.registry import operation
from deployctl.runs.models.run_states import UNFINISHED, WAITS_FOR, RunQuerySet, RunState
from deployctl.runs.models.target import Target
from deployctl.web.installation import installation_id
from deployctl.web.live import announce


class RunRow(models.Model):
    """What is stored of a `Run`; its verbs are there."""

    kind = models.CharField(max_length=40)
    target = models.ForeignKey(Target, on_delete=models.PROTECT, related_name="runs")
    params = models.JSONField(default=dict)
    # Copied from the operation's class when requested, so that the database can enforce it.
    changes_target = models.BooleanField()
    exclusive = models.BooleanField()
    # What the run rests on: "" or "deployment:<number>" (deployments live on a higher floor).
    authority = models.CharField(max_length=60, blank=True, db_index=True)
    state = models.CharField(max_length=20, choices=RunState.choices, default=RunState.QUEUED)

    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="requested_runs"
    )
    requested_by_name = models.CharField(max_length=200)
    requested_at = models.DateTimeField(db_default=Now())
    published_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    token = models.BigIntegerField(null=True)
    lease_until = models.DateTimeField(null=True)
    worker_host = models.CharField(max_length=200, blank=True)
    worker_pid = models.IntegerField(null=True)

    cancel_requested_at = models.DateTimeField(null=True)
    cancel_requested_by_name = models.CharField(max_length=200, blank=True)

    phase = models.CharField(max_length=200, blank=True)
    progress_done = models.BigIntegerField(null=True)
    progress_total = models.BigIntegerField(null=True)
    progress_unit = models.CharField(max_length=20, blank=True)
    # Units per second over the last moments, as the worker measured it.
    progress_rate = models.FloatField(null=True)

    summary = models.TextField(blank=True)
    facts = models.JSONField(default=dict)
    log_bytes = models.BigIntegerField(default=0)
    log_lines_dropped = models.BigIntegerField(default=0)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"run {self.pk}: {self.kind} on {self.target}"

    @property
    def application_name(self) -> str:
        """Under which the run's sessions and programs are found on servers and machines."""
        return f"{self.mark}{self.token}"

    @property
    def mark(self) -> str:
        """How the application name begins, whichever worker took the run."""
        return f"deployctl:{installation_id()}:{self.pk}:"

    @property
    def title(self) -> str:
        """What the operation is called; its kind where this deployctl no longer knows it."""
        known = catalogue().get(self.kind)
        return known.title if known else self.kind

    @property
    def operation(self) -> type[Operation]:
        """The class that this run executes."""
        return operation(self.kind)

    @property
    def is_unfinished(self) -> bool:
        """Waiting, queued or running."""
        return self.state in UNFINISHED

    @property
    def is_waiting(self) -> bool:
        """Waiting for a second person."""
        return self.state == RunState.WAITING

    @property
    def is_running(self) -> bool:
        """In a worker's hands."""
        return self.state == RunState.RUNNING

    @property
    def parameters(self) -> list[tuple[str, object]]:
        """What it was or will be done with, by label; what was not given has its default."""
        known = catalogue().get(self.kind)
        if known is None:
            return list(self.params.items())
        taken = known.parse_params(self.params)
        return [(one.label, getattr(taken, one.name)) for one in parameters_of(known.Params)]

    @property
    def waits_until(self) -> dt.datetime:
        """When it lapses, should nobody have consented by then."""
        return self.requested_at + WAITS_FOR

    @property
    def duration_s(self) -> float | None:
        """Seconds it took, or takes so far; None before it started."""
        if self.started_at is None:
            return None
        return ((self.finished_at or timezone.now()) - self.started_at).total_seconds()

    @property
    def remaining_s(self) -> float | None:
        """Seconds left at the present rate; None where nobody can know."""
        if not self.progress_rate or self.progress_total is None or self.progress_done is None:
            return None
        return max(self.progress_total - self.progress_done, 0) / self.progress_rate

    @property
    def deployment_id(self) -> int | None:
        """The number of the deployment that the run rests on."""
        kind, _, number = self.authority.partition(":")
        return int(number) if kind == "deployment" and number.isdecimal() else None

    @property
    def figures(self) -> list[tuple[str, str]]:
        """What it found and made, as names and words for a reader."""
        return wording.facts(self.facts)

    def announce(self) -> None:
        """Have open pages fetch everything they show of this run."""
        parts = (f"run-{self.pk}{part}" for part in ("", "-steps", "-progress", "-blockers", "-facts"))
        announce(f"run:{self.pk}", *parts)
        announce(f"target:{self.target.name}", f"target-{self.target_id}-runs")
        announce("home", "home-runs", "home-waiting")
        if self.deployment_id is not None:
            fragments = f"run-{self.pk}", f"deployment-{self.deployment_id}-state"
            announce(f"deployment:{self.deployment_id}", *fragments)

    def publish(self) -> bool:
        """Hint a worker that this run is queued. Never raises: without a broker the dispatcher does it later.

        Returns:
            Whether the broker took the message.
        """
        from deployctl.runs.publishing import hint  # the tasks import this model

        if not hint(self.pk):
            return False
        self._rows.filter(pk=self.pk).update(published_at=Now())
        return True

    @property
    def _rows(self) -> RunQuerySet:
        return cast("RunQuerySet", type(self)._default_manager.all())

    def _audit(self, action: Action, *, by: Actor, data: dict[str, Any] | None = None) -> None:
        audit.append(action, by=by, subject=self, deployment_id=self.deployment_id, data=data or {})
