"""One execution of an operation."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from deployctl.runs.models.target import Target


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


class Run(models.Model):
    """One execution of an operation on a target, with its progress and outcome."""

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
    requested_at = models.DateTimeField(auto_now_add=True)
    published_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    token = models.BigIntegerField(null=True)
    lease_until = models.DateTimeField(null=True)
    worker_host = models.CharField(max_length=200, blank=True)
    worker_pid = models.IntegerField(null=True)
    child_groups = models.JSONField(default=list)

    cancel_requested_at = models.DateTimeField(null=True)
    cancel_requested_by_name = models.CharField(max_length=200, blank=True)

    phase = models.CharField(max_length=200, blank=True)
    progress_done = models.BigIntegerField(null=True)
    progress_total = models.BigIntegerField(null=True)
    progress_unit = models.CharField(max_length=20, blank=True)
    progress_since = models.DateTimeField(null=True)

    summary = models.TextField(blank=True)
    facts = models.JSONField(default=dict)
    log_bytes = models.BigIntegerField(default=0)
    log_lines_dropped = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["target"],
                condition=models.Q(
                    exclusive=True, state__in=[RunState.QUEUED, RunState.RUNNING, RunState.UNKNOWN]
                ),
                name="one_exclusive_run_per_target",
            )
        ]
        indexes = [
            models.Index(fields=["state", "requested_at"]),
            models.Index(fields=["target", "-requested_at"]),
        ]

    def __str__(self) -> str:
        return f"run {self.pk}: {self.kind} on {self.target}"
