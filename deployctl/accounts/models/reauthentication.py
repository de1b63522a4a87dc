"""Having signed in again at the provider of single sign-on, in place of a password, for one signature."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.utils import timezone

if TYPE_CHECKING:
    from deployctl.accounts.models.user import User

# Time to come back from the provider, take up the phone and type a code.
GOOD_FOR = dt.timedelta(minutes=5)


class ReauthenticationQuerySet(models.QuerySet["Reauthentication"]):
    """Re-authentications."""

    def good(self, user: User, about: str) -> ReauthenticationQuerySet:
        """Those of a person, for one thing, that can still be used.

        Args:
            user: whose.
            about: the digest of the record that shall be signed.
        """
        return self.filter(user=user, about=about, used_at=None, at__gt=timezone.now() - GOOD_FOR)

    def use(self, user: User, about: str) -> bool:
        """Use up what there is; of two at once one wins."""
        return self.good(user, about).update(used_at=timezone.now()) > 0


class Reauthentication(models.Model):
    """Who signed in again where, for what, and when the provider says that it was."""

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
