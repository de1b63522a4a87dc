"""Codes on paper for the day the phone is lost: each signs in once, none can sign."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.utils import timezone

if TYPE_CHECKING:
    from deployctl.accounts.models.user import User

HOW_MANY = 10
FEW = 3
# Of base32: no 0, 1, 8 to mistake.
ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
# 140 random bits: beyond guessing, so that one fast hash is enough (a slow one protects what people invent).
LENGTH = 28


class RecoveryCodeQuerySet(models.QuerySet["RecoveryCode"]):
    """Recovery codes."""

    def unused(self) -> RecoveryCodeQuerySet:
        """Codes that can still be used."""
        return self.filter(used_at=None)

    def renew(self, user: User) -> list[str]:
        """Replace a person's codes, within the caller's transaction.

        Returns:
            the codes to show, this once; only their hashes are kept.
        """
        self.filter(user=user, used_at=None).delete()
        codes = [_generate() for _ in range(HOW_MANY)]
        self.bulk_create(RecoveryCode(user=user, hash=_hash(user.pk, code)) for code in codes)
        return codes

    def use(self, user: User, code: str) -> bool:
        """Use up a code, if it is an unused one of the person's; of two at once one wins."""
        candidates = self.filter(user=user, hash=_hash(user.pk, code), used_at=None)
        return candidates.update(used_at=timezone.now()) == 1


class RecoveryCode(models.Model):
    """The hash of one code."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="recovery_codes"
    )
    hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    used_at = models.DateTimeField(null=True, blank=True)

    objects = RecoveryCodeQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{'used' if self.used_at else 'unused'} recovery code of {self.user}"


def _generate() -> str:
    """Seven groups of four letters and digits."""
    text = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def _hash(user_id: int, code: str) -> str:
    bare = "".join(code.split()).replace("-", "").lower()
    return hashlib.sha256(f"{user_id}:{bare}".encode()).hexdigest()
