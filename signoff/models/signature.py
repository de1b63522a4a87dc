"""One person's signature over the exact content of a deployment; never edited, never deleted."""

from __future__ import annotations

import datetime as dt
from typing import ClassVar

from django.conf import settings
from django.db import models

from signoff.models.slot import Slot

NEW_FOR = dt.timedelta(hours=24)


class SignatureQuerySet(models.QuerySet["Signature"]):
    """Signatures by whether they still stand."""

    def for_pages(self) -> SignatureQuerySet:
        """With what made them stale, and without the records, which are large."""
        return self.select_related("staleness").defer("record")

    def standing(self) -> SignatureQuerySet:
        """Those whose content has not changed since."""
        return self.filter(staleness=None)


class Signature(models.Model):
    """Who signed what, as whom, meaning what, when, how. Made by `Slot.sign`."""

    slot = models.ForeignKey(Slot, on_delete=models.PROTECT, related_name="signatures")
    signer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="signatures")
    printed_name = models.CharField(max_length=200)
    role = models.CharField(max_length=20)
    meaning = models.CharField(max_length=300)
    signed_at = models.DateTimeField()
    timezone = models.CharField(max_length=60)
    method = models.CharField(max_length=60)
    # When the second factor that was given had been set up.
    factor_since = models.DateTimeField(null=True)
    record = models.JSONField()
    record_digest = models.CharField(max_length=64)
    audit_sequence = models.BigIntegerField(unique=True)

    objects: ClassVar[models.Manager[Signature]] = models.Manager.from_queryset(SignatureQuerySet)()

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.printed_name} for {self.slot}"

    @property
    def has_new_factor(self) -> bool:
        """Whether the second factor was set up so shortly before that co-signers should ask who did it.

        Whoever can replace somebody's second factor and password could sign in their place.
        """
        return self.factor_since is not None and self.signed_at - self.factor_since < NEW_FOR

    @property
    def is_stale(self) -> bool:
        """Whether what it covers changed after it was given."""
        return hasattr(self, "staleness")


class Staleness(models.Model):
    """What changed under a signature, who changed it, and when: the signature no longer stands."""

    signature = models.OneToOneField(Signature, on_delete=models.PROTECT, related_name="staleness")
    at = models.DateTimeField(auto_now_add=True)
    by_name = models.CharField(max_length=200)
    change = models.TextField()

    class Meta:
        verbose_name_plural = "stalenesses"

    def __str__(self) -> str:
        return f"{self.signature}: {self.change}"
