"""One append-only, hash-chained line: who did what to what, when."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Entry(models.Model):
    """A line of the audit chain; appended by `deployctl.audit.append`, never changed."""

    sequence = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField()
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="audit_entries"
    )
    actor_name = models.CharField(max_length=200)
    action = models.CharField(max_length=60)
    subject_type = models.CharField(max_length=60, blank=True)
    subject_id = models.CharField(max_length=60, blank=True)
    subject = models.CharField(max_length=300, blank=True)
    # A number, not a foreign key: deployments live on a higher floor.
    deployment_id = models.BigIntegerField(null=True)
    data = models.JSONField(default=dict)
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        ordering = ["-sequence"]
        verbose_name_plural = "entries"
        indexes = [
            models.Index(fields=["deployment_id", "sequence"]),
            models.Index(fields=["subject_type", "subject_id"]),
            models.Index(fields=["at"]),
        ]

    def __str__(self) -> str:
        return f"{self.sequence} {self.action} {self.subject}"
