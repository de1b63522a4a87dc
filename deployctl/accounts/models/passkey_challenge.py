"""Challenges: random values that passkeys sign, each for one purpose and valid once."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.utils import timezone

if TYPE_CHECKING:
    from deployctl.accounts.models.user import User

# Rows are kept longer than they are valid, for diagnosis.
RETENTION = dt.timedelta(days=1)


class Purpose(models.TextChoices):
    """The purpose of a challenge; a response is valid only for the same purpose."""

    REGISTRATION = "registration", "Registration"
    SIGN_IN = "sign_in", "Sign-in"
    STEP_UP = "step_up", "Confirmation"
    SIGNATURE = "signature", "Signature"


class PasskeyChallengeQuerySet(models.QuerySet["PasskeyChallenge"]):
    """The queryset of challenges."""

    def issue(self, user: User, challenge: str, purpose: Purpose, *, origin: str, about: str = "") -> None:
        """Store a challenge, and delete the person's old ones.

        Args:
            user: the owner of the passkey.
            challenge: the random value, in URL-safe base64.
            purpose: the purpose of the response.
            origin: the origin of this site in the browser; responses from other origins are rejected.
            about: the digest of the record, for a signature.
        """
        self.filter(user=user, issued_at__lt=timezone.now() - RETENTION).delete()
        self.create(user=user, challenge=challenge, purpose=purpose, origin=origin, about=about)

    def use(
        self, user: User, challenge: str, purpose: Purpose, *, about: str = ""
    ) -> PasskeyChallenge | None:
        """Mark a challenge as used; of two concurrent calls only one succeeds.

        Returns:
            The challenge, or None if there is no valid one with these values.
        """
        oldest = timezone.now() - dt.timedelta(seconds=settings.OTP_WEBAUTHN_TIMEOUT_SECONDS)
        matching = self.filter(user=user, challenge=challenge, purpose=purpose, about=about)
        if matching.filter(used_at=None, issued_at__gt=oldest).update(used_at=timezone.now()) != 1:
            return None
        return matching.get()


class PasskeyChallenge(models.Model):
    """A challenge that was sent to a browser."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="passkey_challenges"
    )
    challenge = models.CharField(max_length=120, unique=True)
    purpose = models.CharField(max_length=20, choices=Purpose.choices)
    about = models.CharField(max_length=64, blank=True)
    origin = models.CharField(max_length=300)
    issued_at = models.DateTimeField(auto_now_add=True)
    used_at = models.DateTimeField(null=True)

    objects = PasskeyChallengeQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        indexes = [models.Index(fields=["user", "issued_at"])]

    def __str__(self) -> str:
        return f"{self.get_purpose_display()} challenge of {self.user}"
