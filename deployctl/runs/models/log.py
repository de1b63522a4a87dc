"""One line of a run's log, masked before it is stored."""

from __future__ import annotations

from django.db import models

from deployctl.runs.models.run import Run


class LogLine(models.Model):
    """A numbered line; the live stream resumes by number."""

    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="lines")
    number = models.PositiveIntegerField()
    at = models.DateTimeField()
    level = models.CharField(max_length=10)
    text = models.TextField()

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["run", "number"], name="log_numbers_unique")]

    def __str__(self) -> str:
        return f"{self.run_id}:{self.number}"
