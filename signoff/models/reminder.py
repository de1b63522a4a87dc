"""Reminders of pending signatures that were sent by e-mail."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from signoff.models.slot import Slot


class Reminder(models.Model):
    """A reminder: one slot in one e-mail to one person. Created by `signoff.reminders`."""

    slot = models.ForeignKey(Slot, on_delete=models.PROTECT, related_name="reminders")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="reminders")
    email = models.EmailField()
    sent_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]
        indexes = [models.Index(fields=["user", "-sent_at"], name="reminder_of_user_by_time")]

    def __str__(self) -> str:
        return f"{self.email}: {self.slot}"
