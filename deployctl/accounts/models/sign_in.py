"""Sign-ins: one row per session of a person in a browser, from start to end."""

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
# The session key for the reason why the previous session ended.
END_REASON_KEY = "session_end_reason"
# The minimum time between updates of `seen_at`.
TOUCH_INTERVAL = dt.timedelta(minutes=1)

# Parts of user agent strings; those that several browsers use come last.
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
    """The first factor of a sign-in."""

    PASSWORD = "password", "Password"
    SINGLE_SIGN_ON = "single_sign_on", "Single sign-on"


class SecondFactor(models.TextChoices):
    """The second factor of a sign-in."""

    NONE = "none", "nothing else"
    TOTP = "totp", "one-time code"
    PASSKEY = "passkey", "passkey"
    RECOVERY_CODE = "recovery_code", "recovery code"


# The second factors that count as a step-up.
STEP_UP_FACTORS = frozenset({SecondFactor.TOTP, SecondFactor.PASSKEY})


class SignInQuerySet(models.QuerySet["SignIn"]):
    """The queryset of sign-ins."""

    def open(self) -> SignInQuerySet:
        """Return the sign-ins that have neither ended nor reached a time limit."""
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
        """Create a sign-in for the session of the request."""
        now = timezone.now()
        sign_in = self.create(
            user=user,
            seen_at=now,
            started_at=now,
            first_factor=first_factor,
            second_factor=second_factor,
            code_given_at=now if second_factor in STEP_UP_FACTORS else None,
            address=request.META.get("REMOTE_ADDR") or None,
            browser=request.META.get("HTTP_USER_AGENT", "")[:300],
        )
        request.session[SESSION_KEY] = sign_in.pk
        return sign_in

    def end_all(self, reason: str, *, keep: int | None = None) -> int:
        """End these sign-ins; the sessions are signed out at their next request.

        Args:
            reason: a key of `policies.END_MESSAGES`, or another short reason.
            keep: the primary key of the sign-in to keep.

        Returns:
            The number of sign-ins that were ended.
        """
        open_sign_ins = self.filter(ended_at=None)
        if keep is not None:
            open_sign_ins = open_sign_ins.exclude(pk=keep)
        return open_sign_ins.update(ended_at=timezone.now(), ended_because=reason)


class SignIn(models.Model):
    """A sign-in of a person in a browser."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="sign_ins")
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    first_factor = models.CharField(max_length=20, choices=FirstFactor.choices, default=FirstFactor.PASSWORD)
    second_factor = models.CharField(max_length=20, choices=SecondFactor.choices, default=SecondFactor.NONE)
    # The last use of a one-time code or passkey in this session; sensitive actions need a recent one.
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
    def method_label(self) -> str:
        """Return both factors, such as “Password and passkey”."""
        return method_label(self.first_factor, self.second_factor)

    @property
    def browser_name(self) -> str:
        """Return the browser and operating system, such as “Firefox on Linux”, or “unknown”."""
        return (
            " on ".join(filter(None, [_first_in(self.browser, BROWSERS), _first_in(self.browser, SYSTEMS)]))
            or "unknown"
        )

    def end_reason(self) -> str:
        """Return why the session has ended, or "" if it is open."""
        now = timezone.now()
        if self.ended_at:
            return self.ended_because or "ended"
        if now - self.seen_at > dt.timedelta(seconds=settings.SESSION_IDLE_SECONDS):
            return "idle"
        if now - self.started_at > dt.timedelta(seconds=settings.SESSION_ABSOLUTE_SECONDS):
            return "session limit reached"
        return ""

    def touch(self) -> None:
        """Update the time of the last activity."""
        now = timezone.now()
        if now - self.seen_at > TOUCH_INTERVAL:
            self.seen_at = now
            self.save(update_fields=["seen_at"])

    def end(self, reason: str) -> None:
        """End this sign-in; one that has already ended keeps its first reason."""
        SignIn.objects.filter(pk=self.pk, ended_at=None).update(ended_at=timezone.now(), ended_because=reason)

    @transaction.atomic
    def end_remotely(self, *, by: Actor) -> None:
        """End this sign-in from another browser; the session is signed out at its next request."""
        self.end("signed out remotely")
        data = {"browser": self.browser_name, "address": self.address or ""}
        audit.append(Action.SESSION_ENDED, by=by, subject=self.user, data=data)

    def record_second_factor(self, second_factor: str = SecondFactor.TOTP) -> None:
        """Store that a second factor was just accepted in this session."""
        self.second_factor, self.code_given_at = second_factor, timezone.now()
        self.save(update_fields=["second_factor", "code_given_at"])

    @property
    def code_is_fresh(self) -> bool:
        """Return True if the last code or passkey is recent enough for a step-up."""
        limit = dt.timedelta(seconds=settings.DEPLOYCTL_STEP_UP_SECONDS)
        return self.code_given_at is not None and timezone.now() - self.code_given_at <= limit


def method_label(first_factor: str, second_factor: str) -> str:
    """Return a label for the factors of a sign-in, such as “Password only”."""
    first, second = FirstFactor(first_factor).label, SecondFactor(second_factor)
    return f"{first} only" if second == SecondFactor.NONE else f"{first} and {second.label}"


def _first_in(text: str, names: dict[str, str]) -> str:
    return next((name for part, name in names.items() if part in text), "")
