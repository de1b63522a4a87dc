"""Completions and waivers of items."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Completion(models.Model):
    """A record of who completed an item, when, and with which note. It may be undone; it is never deleted."""

    item = models.ForeignKey("checklists.Item", on_delete=models.PROTECT, related_name="completions")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    by_name = models.CharField(max_length=200)
    at = models.DateTimeField(auto_now_add=True)
    note = models.TextField(blank=True)
    undone_at = models.DateTimeField(null=True)
    undone_by_name = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["item"], condition=models.Q(undone_at=None), name="one_active_completion"
            )
        ]

    def __str__(self) -> str:
        return f"{self.item} by {self.by_name}"


class Waiver(models.Model):
    """A record of who waived an item as not applicable, when and why.

    It may be withdrawn; it is never deleted.
    """

    item = models.ForeignKey("checklists.Item", on_delete=models.PROTECT, related_name="waivers")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    by_name = models.CharField(max_length=200)
    at = models.DateTimeField(auto_now_add=True)
    reason = models.TextField()
    withdrawn_at = models.DateTimeField(null=True)
    withdrawn_by_name = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["item"], condition=models.Q(withdrawn_at=None), name="one_active_waiver"
            )
        ]

    def __str__(self) -> str:
        return f"{self.item} waived by {self.by_name}"
