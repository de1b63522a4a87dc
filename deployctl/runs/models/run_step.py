"""The steps of a run."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from deployctl.runs.models.run import Run
from deployctl.runs.models.run_states import RunState


class StepState(models.TextChoices):
    """The state of a step."""

    RUNNING = "running", "Running"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"
    INTERRUPTED = "interrupted", "Interrupted"


# The state of a running step when its run ends.
ENDED_WITH = {
    RunState.SUCCEEDED: StepState.SUCCEEDED,
    RunState.FAILED: StepState.FAILED,
    RunState.CANCELLED: StepState.CANCELLED,
    RunState.INTERRUPTED: StepState.INTERRUPTED,
    RunState.UNKNOWN: StepState.INTERRUPTED,
}


class StepQuerySet(models.QuerySet["RunStep"]):
    """The steps of a run."""

    def end_running(self, state: RunState) -> int:
        """End the running steps with the state of their run.

        Returns:
            The number of steps.
        """
        return self.filter(state=StepState.RUNNING).update(state=ENDED_WITH[state], finished_at=Now())


class RunStep(models.Model):
    """A named, numbered part of a run."""

    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="steps")
    number = models.PositiveIntegerField()
    name = models.CharField(max_length=300)
    state = models.CharField(max_length=20, choices=StepState.choices, default=StepState.RUNNING)
    started_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)
    detail = models.TextField(blank=True)

    objects: ClassVar[models.Manager[RunStep]] = models.Manager.from_queryset(StepQuerySet)()

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["run", "number"], name="step_numbers_unique")]

    def __str__(self) -> str:
        return f"{self.run_id}.{self.number} {self.name}"

    def end(self, state: StepState, detail: str) -> None:
        """Record the end of the step."""
        RunStep.objects.filter(pk=self.pk).update(state=state, detail=detail, finished_at=Now())

    @property
    def duration_s(self) -> float | None:
        """The duration in seconds, None while the step runs."""
        return (self.finished_at - self.started_at).total_seconds() if self.finished_at else None
