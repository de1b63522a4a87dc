"""Consents and objections of a second person to a run."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Consent(models.Model):
    """A person's consent to a run, or an objection with its reason."""

    run = models.ForeignKey("runs.Run", on_delete=models.PROTECT, related_name="consents")
    given = models.BooleanField()
    reason = models.TextField(blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    by_name = models.CharField(max_length=200)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["at"]
        constraints = [models.UniqueConstraint(fields=["run", "by"], name="one_answer_per_person_and_run")]

    def __str__(self) -> str:
        return f"{self.run}: {'consent' if self.given else 'objection'} of {self.by_name}"
