"""The django-allauth adapter: no sign-up, a second factor at sign-in, and audit entries."""

from __future__ import annotations

from typing import Any, cast

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.stages import LoginStage
from django.contrib import messages
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from deployctl import audit
from deployctl.accounts import failed_login_alerts, temporary_passwords
from deployctl.accounts.email import can_send
from deployctl.accounts.models import SignIn, User
from deployctl.accounts.models.sign_in import FirstFactor, SecondFactor, method_label
from deployctl.audit import Action, Machine
from deployctl.audit.models import Entry
from deployctl.errors import NotAllowed

FIRST_FACTOR_KEY = "first_factor"


class AccountAdapter(DefaultAccountAdapter):
    """The adapter of django-allauth's account pages."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "email_password_mismatch": "The e-mail address or the password is wrong.",
        "too_many_login_attempts": "Too many failed attempts. Wait a few minutes, then try again.",
    }

    def is_open_for_signup(self, _request: HttpRequest) -> bool:
        """Return False: administrators add people."""
        return False

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send an e-mail, unless the backend only logs it: anybody who reads the log could use its links."""
        if can_send():
            super().send_mail(template_prefix, email, context)

    def get_login_stages(self) -> list[str]:
        """Return the only stage: the second factor."""
        return ["deployctl.accounts.adapter.CodeStage"]

    def pre_login(self, request: HttpRequest, user: AbstractBaseUser, **kwargs: Any) -> HttpResponse | None:
        """Store the first factor in the session and reject an expired temporary password."""
        by_provider = "sociallogin" in (kwargs.get("signal_kwargs") or {})
        request.session[FIRST_FACTOR_KEY] = (
            FirstFactor.SINGLE_SIGN_ON if by_provider else FirstFactor.PASSWORD
        )
        response: HttpResponse | None = super().pre_login(request, user, **kwargs)
        if (
            response is None
            and not by_provider
            and (message := temporary_passwords.expiry_message(cast("User", user)))
        ):
            self._log_rejected_password(request, cast("User", user), reason=temporary_passwords.EXPIRED)
            raise NotAllowed(message)
        return response

    def login(self, request: HttpRequest, user: AbstractBaseUser) -> None:
        """Sign in with a new session ID, and append a sign-in row and an audit entry."""
        person = cast("User", user)
        second_factor = getattr(request, "accepted_second_factor", SecondFactor.NONE)
        first_factor = request.session.pop(FIRST_FACTOR_KEY, FirstFactor.PASSWORD)
        if summary := failed_login_alerts.summary_since_last_sign_in(person):
            messages.warning(request, summary)
        with transaction.atomic():
            super().login(request, user)
            request.sign_in = SignIn.objects.begin(  # type: ignore[attr-defined]
                request, person, second_factor, first_factor
            )
            audit.append(
                Action.SESSION_STARTED,
                by=person,
                subject=person,
                data={
                    "how": method_label(first_factor, second_factor),
                    "address": request.META.get("REMOTE_ADDR", ""),
                },
            )

    def logout(self, request: HttpRequest) -> None:
        """Sign out and end the sign-in row."""
        user, sign_in = cast("User", request.user), getattr(request, "sign_in", None)
        with transaction.atomic():
            if sign_in is not None:
                sign_in.end("signed out")
            audit.append(Action.SESSION_ENDED, by=user, subject=user)
        super().logout(request)

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        """Record a wrong password by IP address and, if the e-mail address is known, by person.

        Unknown e-mail addresses aren't stored, because people sometimes type their password there.
        """
        person = User.objects.filter(email__iexact=str(credentials.get("email", ""))).first()
        entry = self._log_rejected_password(request, person)
        if person is not None:
            failed_login_alerts.alert(person, entry)

    def clean_password(self, password: str, user: AbstractBaseUser | None = None) -> str:
        """Validate a new password; it must differ from a temporary one."""
        if isinstance(user, User) and user.temporary_password_until and user.check_password(password):
            raise ValidationError(temporary_passwords.MUST_DIFFER)
        return super().clean_password(password, user)

    def get_password_change_redirect_url(self, _request: HttpRequest) -> str:
        """Return the page to open after a change if the request has no `next`."""
        return reverse("accounts:account")

    def set_password(self, user: AbstractBaseUser, password: str) -> None:
        """Change the password and end the person's other sessions."""
        person = cast("User", user)
        sign_in: SignIn | None = getattr(self.request, "sign_in", None)
        keep = sign_in.pk if sign_in is not None and sign_in.user_id == person.pk else None
        person.change_password(password, by=person, keep=keep)

    def _log_rejected_password(self, request: HttpRequest, person: User | None, **data: str) -> Entry:
        address = request.META.get("REMOTE_ADDR", "unknown address")
        with transaction.atomic():
            return audit.append(
                Action.PASSWORD_REJECTED,
                by=Machine(f"visitor from {address}"),
                subject=person,
                data={"at": "sign-in"} | data,
            )


class CodeStage(LoginStage):
    """The sign-in stage that asks for the second factor, if the person has one."""

    key = "deployctl_code"
    urlname = "accounts:sign_in_code"

    def handle(self) -> tuple[HttpResponse | None, bool]:
        """Redirect to the code page, or continue if the person has no second factor."""
        user = cast("User | None", self.login.user)
        if user is None or not user.has_second_factor:
            return None, True
        return redirect(self.urlname), True
