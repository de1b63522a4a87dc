"""What every row says that takes something back."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class TakenBack(models.Model):
    """By whom, when and why something was taken back; what it was stays as it is."""

    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    by_name = models.CharField(max_length=200)
    at = models.DateTimeField(auto_now_add=True)
    reason = models.TextField()

    class Meta:
        abstract = True
