"""One step of a run."""

from __future__ import annotations

from django.db import models

from deployctl.runs.models.run import Run


class StepState(models.TextChoices):
    """Where a step is."""

    RUNNING = "running", "Running"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"
    INTERRUPTED = "interrupted", "Interrupted"


class RunStep(models.Model):
    """A named part of a run, in order."""

    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="steps")
    number = models.PositiveIntegerField()
    name = models.CharField(max_length=300)
    state = models.CharField(max_length=20, choices=StepState.choices, default=StepState.RUNNING)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    detail = models.TextField(blank=True)

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["run", "number"], name="step_numbers_unique")]

    def __str__(self) -> str:
        return f"{self.run_id}.{self.number} {self.name}"
