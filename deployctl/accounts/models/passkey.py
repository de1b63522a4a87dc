"""Passkeys: second factors on a phone, a computer or a security key (WebAuthn)."""

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

# Enough for several devices; a longer list would be unreadable.
MAX_PASSKEYS = 20


class PasskeyManager(WebAuthnCredentialManager.from_queryset(WebAuthnCredentialQuerySet)):  # type: ignore[misc]
    """The manager of passkeys."""


class Passkey(Throttle, AbstractWebAuthnCredential):
    """The public key of a passkey; added by `passkeys.register`."""

    # django-otp would cascade deletions; here, people with passkeys can't be deleted.
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
