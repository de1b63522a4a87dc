"""A key for a pipeline: it opens the addresses of its scopes and nothing else, until it expires."""

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

MARK = "dctl"  # makes a token that leaked recognisable to those who search for leaks
PREFIX_BYTES = 5
# 256 random bits: beyond guessing, so that one fast hash is enough.
SECRET_BYTES = 32
LONGEST_DAYS = 366
# Written at most this often, so that a busy pipeline does not write a row per question.
SEEN_EVERY = dt.timedelta(minutes=1)


class Scope(models.TextChoices):
    """What a token may ask."""

    GATE_PRE = "gate:pre", "Read the first gate: GO or NO-GO"
    GATE_POST = "gate:post", "Read the second gate: GO or NO-GO"


class ApiTokenManager(models.Manager["ApiToken"]):
    """Tokens, newest first."""

    @transaction.atomic
    def issue(self, *, by: User, name: str, scopes: Iterable[str], days: int) -> tuple[ApiToken, str]:
        """Make a token.

        Args:
            by: the administrator who answers for it; it works while their account is active.
            name: what uses it.
            scopes: of `Scope`, at least one.
            days: how long it works.

        Returns:
            The token, and its text: shown this once, only its hash is kept.

        Raises:
            InvalidInput: no name, an unknown scope or none, or too long a time.
        """
        name, wanted = " ".join(name.split()), sorted(set(scopes))
        if not name or len(name) > 100:
            raise InvalidInput("A token needs a name of at most 100 characters. Nothing was made.")
        if not wanted or not set(wanted) <= set(Scope.values):
            raise InvalidInput(f"Choose what the token may do: {', '.join(Scope.values)}. Nothing was made.")
        if not 1 <= days <= LONGEST_DAYS:
            raise InvalidInput(f"A token works for 1 to {LONGEST_DAYS} days. Nothing was made.")
        prefix, secret = secrets.token_hex(PREFIX_BYTES), secrets.token_urlsafe(SECRET_BYTES)
        token = self.create(
            name=name,
            prefix=prefix,
            hash=_hash(secret),
            scopes=wanted,
            owner=by,
            expires_at=timezone.now() + dt.timedelta(days=days),
        )
        data = {"scopes": wanted, "expires_at": token.expires_at, "prefix": prefix}
        audit.append(Action.TOKEN_CREATED, by=by, subject=token, data=data)
        return token, f"{MARK}_{prefix}_{secret}"

    def known(self, text: str) -> ApiToken | None:
        """The token with this text, usable or not; takes the same time whether the prefix exists."""
        mark, _, rest = text.partition("_")
        prefix, _, secret = rest.partition("_")
        found = self.select_related("owner").filter(prefix=prefix).first() if mark == MARK else None
        fits = hmac.compare_digest(found.hash if found else _hash(""), _hash(secret))
        return found if found and fits else None


class ApiToken(models.Model):
    """A token's row: everything but its text. Revoked, never deleted."""

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
        """What it may do, in words."""
        labels = dict(Scope.choices)
        return [str(labels.get(scope, scope)) for scope in self.scopes]

    @property
    def refusal(self) -> str:
        """Why it no longer works, as a sentence; empty while it does."""
        if self.revoked_at is not None:
            return "This token was revoked. An administrator can make another."
        if self.expires_at <= timezone.now():
            return f"This token expired on {self.expires_at:%Y-%m-%d}. An administrator can make another."
        if not self.owner.is_active:
            return "The account of whoever made this token is disabled. An administrator can make another."
        return ""

    def may(self, scope: str) -> bool:
        """Whether a scope is among those it was made for."""
        return scope in self.scopes

    def touch(self) -> None:
        """Note that it was used."""
        now = timezone.now()
        if self.last_used_at is None or now - self.last_used_at > SEEN_EVERY:
            type(self).objects.filter(pk=self.pk).update(last_used_at=now)

    @transaction.atomic
    def revoke(self, *, by: User) -> None:
        """End it at once.

        Raises:
            Refusal: it was revoked already.
        """
        standing = type(self).objects.filter(pk=self.pk, revoked_at=None)
        if standing.update(revoked_at=timezone.now(), revoked_by_name=audit.actor_name(by)) != 1:
            raise Refusal(f"The token {self.name} was revoked already. Nothing was changed.")
        audit.append(Action.TOKEN_REVOKED, by=by, subject=self, data={"prefix": self.prefix})


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
