"""Authenticator apps: second factors with one-time codes, as devices of django-otp."""

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
# One step before and after the current one, for inaccurate clocks and slow typing: a code is valid for at
# most 90 seconds (RFC 6238, 5.2, recommends no more).
TOLERANCE_STEPS = 1
KEY_BYTES = 20  # as long as the hash (RFC 4226, 4, requirement R6)
_CODE = re.compile(rf"[0-9]{{{DIGITS}}}", re.ASCII)


class TotpFactorManager(DeviceManager):
    """The manager of authenticator apps."""

    def start(self, user: User) -> TotpFactor:
        """Return the app that the person is enrolling; create it with a random key if there is none.

        It isn't active until `attempts.enroll` has verified a code.
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
    """An authenticator app: time-based one-time codes (RFC 6238) from a shared key."""

    # django-otp would cascade deletions; here, people with an authenticator app can't be deleted.
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="totp_factors")
    name = models.CharField(max_length=64, default="Authenticator app")
    confirmed = models.BooleanField(default=False)
    key_encrypted = models.TextField()
    # The time step of the last accepted code; codes of this step and older ones are rejected.
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
        """Return the decrypted shared key.

        Raises:
            deployctl.accounts.crypto.DecryptionError: no configured key matches.
        """
        return bytes.fromhex(crypto.decrypt(self.key_encrypted, context=_context(self.user_id)))

    @property
    def text_secret(self) -> str:
        """Return the key for typing into an app: base32 in groups of four."""
        text = base64.b32encode(self.key).decode().rstrip("=")
        return " ".join(text[start : start + 4] for start in range(0, len(text), 4))

    @property
    def config_url(self) -> str:
        """Return the URL for the QR code, in the Key URI Format of authenticator apps."""
        issuer = settings.OTP_TOTP_ISSUER.replace(":", "")
        secret = self.text_secret.replace(" ", "")
        label = quote(f"{issuer}:{self.user.email}")
        return (
            f"otpauth://totp/{label}?secret={secret}&issuer={quote(issuer)}&digits={DIGITS}&period={STEP_S}"
        )

    def totp(self) -> TOTP:
        """Return the code generator for the current time."""
        generator = TOTP(self.key, STEP_S, 0, DIGITS)  # type: ignore[no-untyped-call]
        # The time is fixed, because reading the clock twice could give two different steps.
        generator.time = timezone.now().timestamp()
        return generator

    def verify_token(self, token: str) -> bool:
        """Accept a code once. django-otp calls this; the row must be locked."""
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
        """Return True if the code is correct but was used before."""
        digits = token.replace(" ", "")
        generator = self.totp()
        return bool(
            _CODE.fullmatch(digits)
            and generator.verify(int(digits), TOLERANCE_STEPS)  # type: ignore[no-untyped-call]
            and generator.t() <= self.last_t  # type: ignore[no-untyped-call]
        )


def _context(user_id: int) -> str:
    return f"totp:{user_id}"
