"""Reauthentications at the single sign-on provider, which replace the password for one signature."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.utils import timezone

if TYPE_CHECKING:
    from deployctl.accounts.models.user import User

# Enough time to return from the provider and enter a code from the phone.
LIFETIME = dt.timedelta(minutes=5)


class ReauthenticationQuerySet(models.QuerySet["Reauthentication"]):
    """The queryset of reauthentications."""

    def usable(self, user: User, about: str) -> ReauthenticationQuerySet:
        """Return the person's valid, unused reauthentications for a record.

        Args:
            user: the signer.
            about: the digest of the record to be signed.
        """
        return self.filter(user=user, about=about, used_at=None, at__gt=timezone.now() - LIFETIME)

    def use(self, user: User, about: str) -> bool:
        """Mark the usable reauthentications as used; of two concurrent calls only one returns True."""
        return self.usable(user, about).update(used_at=timezone.now()) > 0


class Reauthentication(models.Model):
    """A reauthentication at the provider, for one record."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="reauthentications"
    )
    provider = models.CharField(max_length=200)
    about = models.CharField(max_length=64)
    at = models.DateTimeField(auto_now_add=True)
    authenticated_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    objects = ReauthenticationQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        indexes = [models.Index(fields=["user", "about"])]

    def __str__(self) -> str:
        return f"{self.user} at {self.provider}"
