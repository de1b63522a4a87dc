"""One stay of a person on one browser, from signing in to its end."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models, transaction
from django.http import HttpRequest
from django.utils import timezone

from deployctl import audit
from deployctl.audit import Action, Actor

if TYPE_CHECKING:
    from deployctl.accounts.models.user import User

SESSION_KEY = "sign_in"
# In the session after one that was ended: why it was.
ENDED_KEY = "session_end_reason"
# Being seen is written down at most this often, not at every request.
SEEN_EVERY = dt.timedelta(minutes=1)

# What browsers say of themselves, the tell-tale before what others imitate.
BROWSERS = {"Edg": "Edge", "OPR/": "Opera", "Firefox/": "Firefox", "Chrom": "Chrome", "Safari/": "Safari"}
SYSTEMS = {
    "Android": "Android",
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Windows": "Windows",
    "Mac OS": "macOS",
    "Linux": "Linux",
}


class FirstFactor(models.TextChoices):
    """How the person said who they are."""

    PASSWORD = "password", "Password"
    SINGLE_SIGN_ON = "single_sign_on", "Single sign-on"


class SecondFactor(models.TextChoices):
    """What was given besides."""

    NONE = "none", "nothing else"
    TOTP = "totp", "one-time code"
    PASSKEY = "passkey", "passkey"
    RECOVERY_CODE = "recovery_code", "recovery code"


# Given just now, they let the person do what asks for a fresh code.
STRONG = frozenset({SecondFactor.TOTP, SecondFactor.PASSKEY})


class SignInQuerySet(models.QuerySet["SignIn"]):
    """Stays."""

    def open(self) -> SignInQuerySet:
        """Stays that go on: neither ended nor over their limits."""
        now = timezone.now()
        return self.filter(
            ended_at=None,
            seen_at__gt=now - dt.timedelta(seconds=settings.SESSION_IDLE_SECONDS),
            started_at__gt=now - dt.timedelta(seconds=settings.SESSION_ABSOLUTE_SECONDS),
        )

    def begin(
        self,
        request: HttpRequest,
        user: User,
        second_factor: str = SecondFactor.NONE,
        first_factor: str = FirstFactor.PASSWORD,
    ) -> SignIn:
        """Note that this session is a new stay of the person."""
        now = timezone.now()
        sign_in = self.create(
            user=user,
            seen_at=now,
            started_at=now,
            first_factor=first_factor,
            second_factor=second_factor,
            code_given_at=now if second_factor in STRONG else None,
            address=request.META.get("REMOTE_ADDR") or None,
            browser=request.META.get("HTTP_USER_AGENT", "")[:300],
        )
        request.session[SESSION_KEY] = sign_in.pk
        return sign_in

    def end_all(self, because: str, *, keep: int | None = None) -> int:
        """End the stays that go on, except one; takes effect with their next request.

        Args:
            because: a word or two for the list of sessions.
            keep: the number of the one that stays.

        Returns:
            how many were ended.
        """
        going_on = self.filter(ended_at=None)
        if keep is not None:
            going_on = going_on.exclude(pk=keep)
        return going_on.update(ended_at=timezone.now(), ended_because=because)


class SignIn(models.Model):
    """Who signed in where, how, until when."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="sign_ins")
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    first_factor = models.CharField(max_length=20, choices=FirstFactor.choices, default=FirstFactor.PASSWORD)
    second_factor = models.CharField(max_length=20, choices=SecondFactor.choices, default=SecondFactor.NONE)
    # When a one-time code or a passkey was last given in this session: privileged acts want it fresh.
    code_given_at = models.DateTimeField(null=True)
    address = models.GenericIPAddressField(null=True)
    browser = models.CharField(max_length=300, blank=True)
    ended_at = models.DateTimeField(null=True)
    ended_because = models.CharField(max_length=60, blank=True)

    objects = SignInQuerySet.as_manager()

    class Meta:
        ordering = ["-seen_at"]
        indexes = [models.Index(fields=["user", "ended_at"])]

    def __str__(self) -> str:
        return f"{self.user} since {self.started_at:%Y-%m-%d %H:%M}"

    @property
    def how(self) -> str:
        """Both factors in words."""
        return how(self.first_factor, self.second_factor)

    @property
    def browser_name(self) -> str:
        """The browser and its system in a word each, as far as it tells."""
        return (
            " on ".join(filter(None, [_first_in(self.browser, BROWSERS), _first_in(self.browser, SYSTEMS)]))
            or "unknown"
        )

    def end_reason(self) -> str:
        """Why the stay may not go on, or "" while it may."""
        now = timezone.now()
        if self.ended_at:
            return self.ended_because or "ended"
        if now - self.seen_at > dt.timedelta(seconds=settings.SESSION_IDLE_SECONDS):
            return "idle"
        if now - self.started_at > dt.timedelta(seconds=settings.SESSION_ABSOLUTE_SECONDS):
            return "session limit reached"
        return ""

    def touch(self) -> None:
        """Note that the person did something now."""
        now = timezone.now()
        if now - self.seen_at > SEEN_EVERY:
            self.seen_at = now
            self.save(update_fields=["seen_at"])

    def end(self, because: str) -> None:
        """End this stay; ended already, it keeps its first reason."""
        SignIn.objects.filter(pk=self.pk, ended_at=None).update(
            ended_at=timezone.now(), ended_because=because
        )

    @transaction.atomic
    def end_remotely(self, *, by: Actor) -> None:
        """End this stay from another browser; it takes effect with its next request."""
        self.end("signed out remotely")
        facts = {"browser": self.browser_name, "address": self.address or ""}
        audit.append(Action.SESSION_ENDED, by=by, subject=self.user, data=facts)

    def record_second_factor(self, second_factor: str = SecondFactor.TOTP) -> None:
        """Note that a one-time code, or a passkey, was just accepted in this session."""
        self.second_factor, self.code_given_at = second_factor, timezone.now()
        self.save(update_fields=["second_factor", "code_given_at"])

    @property
    def code_is_fresh(self) -> bool:
        """Whether a one-time code was given recently enough for acts that ask for it."""
        limit = dt.timedelta(seconds=settings.DEPLOYCTL_STEP_UP_SECONDS)
        return self.code_given_at is not None and timezone.now() - self.code_given_at <= limit


def how(first_factor: str, second_factor: str) -> str:
    """How somebody signed in, in words."""
    first, second = FirstFactor(first_factor).label, SecondFactor(second_factor)
    return f"{first} only" if second == SecondFactor.NONE else f"{first} and {second.label}"


def _first_in(text: str, names: dict[str, str]) -> str:
    return next((name for sign, name in names.items() if sign in text), "")
