"""API tokens: keys that let programs use the API views of their scopes until they expire."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from typing import ClassVar

from django.conf import settings
from django.db import models, transaction
from django.utils import timezone

from deployctl import audit
from deployctl.accounts.models.user import User
from deployctl.audit import Action
from deployctl.errors import InvalidInput, Refusal

VENDOR_PREFIX = "dctl"  # lets secret scanners recognize a leaked token
PREFIX_BYTES = 5
# 256 random bits can't be guessed, so a single fast hash is enough.
SECRET_BYTES = 32
MAX_DAYS = 366
# The minimum time between updates of `last_used_at`, so that a busy pipeline doesn't write a row per request.
TOUCH_INTERVAL = dt.timedelta(minutes=1)


class Scope(models.TextChoices):
    """The scopes of API tokens."""

    GATE_PRE = "gate:pre", "Read the first gate (GO or NO-GO)"
    GATE_POST = "gate:post", "Read the second gate (GO or NO-GO)"


class ApiTokenManager(models.Manager["ApiToken"]):
    """The manager of API tokens."""

    @transaction.atomic
    def issue(self, *, by: User, name: str, scopes: Iterable[str], days: int) -> tuple[ApiToken, str]:
        """Create a token.

        Args:
            by: the administrator who owns it; it works only while their account is active.
            name: the program that uses it.
            scopes: values of `Scope`, at least one.
            days: how long it is valid.

        Returns:
            The token and its text, to be shown once; only a hash is stored.

        Raises:
            InvalidInput: the name, a scope or the number of days is invalid.
        """
        name, unique_scopes = " ".join(name.split()), sorted(set(scopes))
        if not name or len(name) > 100:
            raise InvalidInput("A token needs a name of at most 100 characters. No token was created.")
        if not unique_scopes or not set(unique_scopes) <= set(Scope.values):
            raise InvalidInput(f"Choose scopes from {', '.join(Scope.values)}. No token was created.")
        if not 1 <= days <= MAX_DAYS:
            raise InvalidInput(f"A token can be valid for 1 to {MAX_DAYS} days. No token was created.")
        prefix, secret = secrets.token_hex(PREFIX_BYTES), secrets.token_urlsafe(SECRET_BYTES)
        token = self.create(
            name=name,
            prefix=prefix,
            hash=_hash(secret),
            scopes=unique_scopes,
            owner=by,
            expires_at=timezone.now() + dt.timedelta(days=days),
        )
        data = {"scopes": unique_scopes, "expires_at": token.expires_at, "prefix": prefix}
        audit.append(Action.TOKEN_CREATED, by=by, subject=token, data=data)
        return token, f"{VENDOR_PREFIX}_{prefix}_{secret}"

    def authenticate(self, text: str) -> ApiToken | None:
        """Return the token with this text, even if it has expired or was revoked, or None.

        This takes the same time for known and unknown prefixes.
        """
        vendor_prefix, _, rest = text.partition("_")
        prefix, _, secret = rest.partition("_")
        candidates = self.select_related("owner").filter(prefix=prefix)
        token = candidates.first() if vendor_prefix == VENDOR_PREFIX else None
        matches = hmac.compare_digest(token.hash if token else _hash(""), _hash(secret))
        return token if token and matches else None


class ApiToken(models.Model):
    """An API token without its text. Tokens are revoked, never deleted."""

    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=20, unique=True)
    hash = models.CharField(max_length=64)
    scopes = models.JSONField()
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="api_tokens")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    revoked_by_name = models.CharField(max_length=200, blank=True)

    objects: ClassVar[ApiTokenManager] = ApiTokenManager()

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.name

    @property
    def scope_labels(self) -> list[str]:
        """Return the labels of the scopes."""
        labels = dict(Scope.choices)
        return [str(labels.get(scope, scope)) for scope in self.scopes]

    @property
    def invalid_reason(self) -> str:
        """Return why the token no longer works, or ""."""
        if self.revoked_at is not None:
            return "This token was revoked. Ask an administrator for a new one."
        if self.expires_at <= timezone.now():
            return f"This token expired on {self.expires_at:%Y-%m-%d}. Ask an administrator for a new one."
        if not self.owner.is_active:
            return "The account of this token's owner is disabled. Ask an administrator for a new token."
        return ""

    def has_scope(self, scope: str) -> bool:
        """Return True if the token has a scope."""
        return scope in self.scopes

    def touch(self) -> None:
        """Update the time of the last use."""
        now = timezone.now()
        if self.last_used_at is None or now - self.last_used_at > TOUCH_INTERVAL:
            type(self).objects.filter(pk=self.pk).update(last_used_at=now)

    @transaction.atomic
    def revoke(self, *, by: User) -> None:
        """Revoke the token.

        Raises:
            Refusal: it is already revoked.
        """
        active = type(self).objects.filter(pk=self.pk, revoked_at=None)
        if active.update(revoked_at=timezone.now(), revoked_by_name=audit.actor_name(by)) != 1:
            raise Refusal(f"The token {self.name} is already revoked. Nothing was changed.")
        audit.append(Action.TOKEN_REVOKED, by=by, subject=self, data={"prefix": self.prefix})


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
