"""A person's authenticator app: the second factor, as a device of django-otp."""

from __future__ import annotations

import base64
import re
import secrets
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote

from django.conf import settings
from django.db import models
from django.utils import timezone
from django_otp.models import Device, DeviceManager, TimestampMixin
from django_otp.oath import TOTP

from deployctl.accounts import crypto
from deployctl.accounts.models.throttle import Throttle

if TYPE_CHECKING:
    from deployctl.accounts.models.user import User

STEP_S = 30
DIGITS = 6
# One step before and after ours: clocks of phones differ by seconds, and typing takes some. A code is thus
# good for at most 90 seconds (RFC 6238, 5.2, recommends no more).
TOLERANCE_STEPS = 1
KEY_BYTES = 20  # as long as the hash (RFC 4226, 4, requirement R6)
_CODE = re.compile(rf"[0-9]{{{DIGITS}}}", re.ASCII)


class TotpFactorManager(DeviceManager):
    """Second factors."""

    def start(self, user: User) -> TotpFactor:
        """The factor that the person is enrolling, with a new random key if there is none yet.

        It counts for nothing until a code of it was given (`attempts.enroll`).
        """
        key = secrets.token_bytes(KEY_BYTES).hex()
        factor: TotpFactor
        factor, _ = self.get_or_create(
            user=user,
            confirmed=False,
            defaults={"key_encrypted": crypto.encrypt(key, context=_context(user.pk))},
        )
        return factor


class TotpFactor(TimestampMixin, Throttle, Device):
    """Time-based one-time codes (RFC 6238) from a key that only this row and the person's phone hold."""

    # django-otp would delete the factor with the person; nothing of ours is deleted that way.
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="totp_factors")
    name = models.CharField(max_length=64, default="Authenticator app")
    confirmed = models.BooleanField(default=False)
    key_encrypted = models.TextField()
    # The time step of the last accepted code: that one and older ones are refused.
    last_t = models.BigIntegerField(default=-1)

    objects: ClassVar[TotpFactorManager] = TotpFactorManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "confirmed"], name="one_factor_and_one_being_enrolled_per_person"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.user}"

    @property
    def key(self) -> bytes:
        """The shared key, decrypted.

        Raises:
            deployctl.accounts.crypto.DecryptionError: the site's key has changed.
        """
        return bytes.fromhex(crypto.decrypt(self.key_encrypted, context=_context(self.user_id)))

    @property
    def text_secret(self) -> str:
        """The key as a person types it into an app that cannot scan: base32 in groups of four."""
        text = base64.b32encode(self.key).decode().rstrip("=")
        return " ".join(text[start : start + 4] for start in range(0, len(text), 4))

    @property
    def config_url(self) -> str:
        """What the QR code says (the "Key Uri Format" that authenticator apps share)."""
        issuer = settings.OTP_TOTP_ISSUER.replace(":", "")
        secret = self.text_secret.replace(" ", "")
        label = quote(f"{issuer}:{self.user.email}")
        return (
            f"otpauth://totp/{label}?secret={secret}&issuer={quote(issuer)}&digits={DIGITS}&period={STEP_S}"
        )

    def totp(self) -> TOTP:
        """The generator of codes, at this moment."""
        generator = TOTP(self.key, STEP_S, 0, DIGITS)  # type: ignore[no-untyped-call]
        # Two looks at a running clock could fall into two steps.
        generator.time = timezone.now().timestamp()
        return generator

    def verify_token(self, token: str) -> bool:
        """Accept a code once: part of django-otp's protocol, to be called with the row locked."""
        allowed, _ = self.verify_is_allowed()  # type: ignore[no-untyped-call]
        if not allowed:
            return False
        digits = token.replace(" ", "")
        generator = self.totp()
        accepted = bool(_CODE.fullmatch(digits)) and generator.verify(  # type: ignore[no-untyped-call]
            int(digits), TOLERANCE_STEPS, self.last_t + 1
        )
        if accepted:
            self.last_t = generator.t()  # type: ignore[no-untyped-call]
            self.throttle_reset(commit=False)
            self.set_last_used_timestamp(commit=False)  # type: ignore[no-untyped-call]
            self.save(
                update_fields=[
                    "last_t",
                    "last_used_at",
                    "throttling_failure_count",
                    "throttling_failure_timestamp",
                ]
            )
        else:
            self.throttle_increment()
        return accepted

    def was_used(self, token: str) -> bool:
        """Whether the code is right but was accepted before."""
        digits = token.replace(" ", "")
        generator = self.totp()
        return bool(
            _CODE.fullmatch(digits)
            and generator.verify(int(digits), TOLERANCE_STEPS)  # type: ignore[no-untyped-call]
            and generator.t() <= self.last_t  # type: ignore[no-untyped-call]
        )


def _context(user_id: int) -> str:
    return f"totp:{user_id}"
