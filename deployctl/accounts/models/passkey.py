"""A person's passkey: a second factor that a phone, a computer or a security key holds (WebAuthn)."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django_otp_webauthn.models import (
    AbstractWebAuthnCredential,
    WebAuthnCredentialManager,
    WebAuthnCredentialQuerySet,
)

from deployctl.accounts.models.throttle import Throttle

# Enough for a phone, a computer and a few security keys; a page with more could not be read.
MOST_PASSKEYS = 20


class PasskeyManager(WebAuthnCredentialManager.from_queryset(WebAuthnCredentialQuerySet)):  # type: ignore[misc]
    """Passkeys."""


class Passkey(Throttle, AbstractWebAuthnCredential):
    """A public key whose private half never leaves the person's device; added by `passkeys.register`."""

    # django-otp would delete the passkey with the person; nothing of ours is deleted that way.
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="passkeys")

    objects: ClassVar[PasskeyManager] = PasskeyManager()

    class Meta(AbstractWebAuthnCredential.Meta):
        abstract = False
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["user", "name"], name="passkey_names_unique_per_person")
        ]

    def __str__(self) -> str:
        return f"passkey “{self.name}” of {self.user}"
