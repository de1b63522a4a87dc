"""The lines of a run's log, masked before they are stored."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from deployctl.runs.models.run import Run

# A reader who is further behind than this skips to the last lines; reading all would take minutes.
MAX_LAG = 10_000
RESUME_WITH = 1_000


class LogQuerySet(models.QuerySet["LogLine"]):
    """The lines of a run."""

    def after(self, number: int, *, at_most: int) -> LogQuerySet:
        """Return the lines after a number."""
        return self.filter(number__gt=number).order_by("number")[:at_most]

    def tail(self, number: int, *, at_most: int) -> list[LogLine]:
        """Return the lines after a number; skip to the last lines for a reader who is far behind."""
        newest = self.order_by("-number").values_list("number", flat=True).first() or 0
        if newest - number > MAX_LAG:
            number = newest - RESUME_WITH
        return list(self.after(number, at_most=at_most))

    def newest(self, at_most: int) -> list[LogLine]:
        """Return the newest lines, oldest first."""
        return list(self.order_by("-number")[:at_most])[::-1]


class LogLine(models.Model):
    """A numbered line of a log; the live stream resumes by number."""

    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="lines")
    number = models.PositiveIntegerField()
    at = models.DateTimeField()
    level = models.CharField(max_length=10)
    text = models.TextField()

    objects: ClassVar[models.Manager[LogLine]] = models.Manager.from_queryset(LogQuerySet)()

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["run", "number"], name="log_numbers_unique")]

    def __str__(self) -> str:
        return f"{self.run_id}:{self.number}"
