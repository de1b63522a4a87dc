"""Random values that passkeys sign: each is asked for once, for one thing, and answered once."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.utils import timezone

if TYPE_CHECKING:
    from deployctl.accounts.models.user import User

# Long after the last answer could count; until then the rows show what happened.
KEPT = dt.timedelta(days=1)


class Purpose(models.TextChoices):
    """What an answer is given for; it counts for nothing else."""

    REGISTRATION = "registration", "Registration"
    SIGN_IN = "sign_in", "Sign-in"
    STEP_UP = "step_up", "Confirmation"
    SIGNATURE = "signature", "Signature"


class PasskeyChallengeQuerySet(models.QuerySet["PasskeyChallenge"]):
    """Challenges."""

    def issue(self, user: User, challenge: str, purpose: Purpose, *, origin: str, about: str = "") -> None:
        """Note what a person's browser is asked to have signed.

        Args:
            user: whose passkey shall answer.
            challenge: the random value, in URL-safe base64.
            purpose: what the answer is for.
            origin: the address of this site in that browser; an answer from another one does not count.
            about: further what it is for: the digest of the record, for a signature.
        """
        self.filter(user=user, issued_at__lt=timezone.now() - KEPT).delete()
        self.create(user=user, challenge=challenge, purpose=purpose, origin=origin, about=about)

    def use(
        self, user: User, challenge: str, purpose: Purpose, *, about: str = ""
    ) -> PasskeyChallenge | None:
        """Use a challenge up, if it was issued for exactly this and is still good; of two at once one wins.

        Returns:
            the challenge, or None where there is nothing to use.
        """
        oldest = timezone.now() - dt.timedelta(seconds=settings.OTP_WEBAUTHN_TIMEOUT_SECONDS)
        mine = self.filter(user=user, challenge=challenge, purpose=purpose, about=about)
        if mine.filter(used_at=None, issued_at__gt=oldest).update(used_at=timezone.now()) != 1:
            return None
        return mine.get()


class PasskeyChallenge(models.Model):
    """A random value that was sent to a browser."""

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
