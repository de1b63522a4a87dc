"""Decisions on runs whose worker was lost while they changed the target."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Decision(models.Model):
    """A person's decision on the outcome of an unknown run, with the evidence."""

    run = models.OneToOneField("runs.Run", on_delete=models.PROTECT, related_name="decision")
    outcome = models.CharField(max_length=20)
    note = models.TextField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    by_name = models.CharField(max_length=200)
    at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.run}: {self.outcome}"
