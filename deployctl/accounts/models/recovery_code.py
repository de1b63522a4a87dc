"""Recovery codes: single-use codes that replace a lost second factor at sign-in, but not for signatures."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.utils import timezone

if TYPE_CHECKING:
    from deployctl.accounts.models.user import User

CODE_COUNT = 10
LOW_CODE_COUNT = 3
# The base32 alphabet, without the ambiguous 0, 1 and 8.
ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
# 140 random bits can't be guessed, so a fast hash is enough; slow ones are for passwords that people invent.
LENGTH = 28


class RecoveryCodeQuerySet(models.QuerySet["RecoveryCode"]):
    """The queryset of recovery codes."""

    def unused(self) -> RecoveryCodeQuerySet:
        """Return the unused codes."""
        return self.filter(used_at=None)

    def renew(self, user: User) -> list[str]:
        """Replace a person's unused codes, within the caller's transaction.

        Returns:
            The new codes, to be shown once; only hashes are stored.
        """
        self.filter(user=user, used_at=None).delete()
        codes = [_generate() for _ in range(CODE_COUNT)]
        self.bulk_create(RecoveryCode(user=user, hash=_hash(user.pk, code)) for code in codes)
        return codes

    def use(self, user: User, code: str) -> bool:
        """Use a code and return True if it is valid; of two concurrent calls only one returns True."""
        candidates = self.filter(user=user, hash=_hash(user.pk, code), used_at=None)
        return candidates.update(used_at=timezone.now()) == 1


class RecoveryCode(models.Model):
    """The hash of a recovery code."""

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
    text = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def _hash(user_id: int, code: str) -> str:
    normalized = "".join(code.split()).replace("-", "").lower()
    return hashlib.sha256(f"{user_id}:{normalized}".encode()).hexdigest()
