"""Policies: decorators that control access to views. Every view has exactly one policy.

    @operator
    @step_up
    def drop_database(request): ...

The policies are `public`, `identified`, `must_change_password`, `must_enroll`, `member`, `enrolled`,
`operator`, `approver` and `administrator`; each sets `view.policy`. `step_up` goes below one of the last
four. They work on sync and async views. Visitors are redirected to the sign-in page and back, with a response
that htmx and event streams understand. A person without the permission gets `NotAllowed` (403), which is
audited.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, resolve_url
from django.urls import reverse
from django_htmx.http import HttpResponseClientRedirect

from deployctl.accounts import denied_log, next_url, temporary_passwords
from deployctl.accounts.models import SignIn, User
from deployctl.accounts.models.sign_in import END_REASON_KEY, FirstFactor, SecondFactor
from deployctl.accounts.roles import Permission
from deployctl.audit import Action
from deployctl.errors import NotAllowed
from deployctl.text import pluralize

View = TypeVar("View", bound=Callable[..., Any])
# Returns a response to send instead of the view's, or None to call the view.
Check = Callable[[HttpRequest], HttpResponseBase | None]

ENROLL_FIRST = "This needs a second factor. Set it up now; then you return to this page."
ENROLLMENT_REQUIRED = "Everyone here needs a second factor. Set it up now; then you return to this page."
STEP_UP_AFTER_RECOVERY = (
    "You signed in with a recovery code, which doesn't allow this."
    " Enter a code from your authenticator app, or set up a new one."
)
END_MESSAGES = {
    "idle": "You were signed out because of inactivity. Sign in to continue.",
    "session limit reached": "You were signed out because the session reached its time limit. Sign in again.",
    "password changed": "You were signed out because your password was changed. Sign in with the new one.",
    "second factor changed": "You were signed out because your second factor was changed. Sign in again.",
    "second factor removed": "You were signed out because your second factor was removed. Sign in again.",
    "signed out remotely": "You were signed out from another browser. Sign in to continue.",
    "single sign-on unlinked": (
        "You were signed out because your link to single sign-on was removed. Sign in to link it again."
    ),
}


def public(view: View) -> View:
    """Allow anybody, signed in or not."""
    return _set_policy(view, "public", lambda _request: None)


def identified(view: View) -> View:
    """Require a first factor; for the pages that ask for the second."""
    return _set_policy(view, "identified", _require_identified)


def must_change_password(view: View) -> View:
    """Require a member, but allow a temporary password; for the page that replaces it."""
    return _set_policy(view, "must_change_password", _require_must_change_password)


def must_enroll(view: View) -> View:
    """Require a member, but allow a missing second factor; for the pages that set it up.

    A temporary password must be replaced first, because others who know it could add their own second factor.
    """
    return _set_policy(view, "must_enroll", _require_must_enroll)


def member(view: View) -> View:
    """Require a signed-in person who used their second factor, if they have one.

    Their password must not be temporary. With `SECOND_FACTOR_FOR_ALL`, they must have a second factor.
    """
    return _set_policy(view, "member", _require_member)


def enrolled(view: View) -> View:
    """Require a member who signed in with a second factor; redirect others to set one up, and back."""
    return _set_policy(view, "enrolled", _require_enrolled)


def operator(view: View) -> View:
    """Require an enrolled operator, who can start operations."""
    return _set_policy(view, "operator", _require(Permission.OPERATOR))


def approver(view: View) -> View:
    """Require an enrolled approver, who can sign and read the audit log."""
    return _set_policy(view, "approver", _require(Permission.APPROVER))


def administrator(view: View) -> View:
    """Require an enrolled administrator, who manages people and settings."""
    return _set_policy(view, "administrator", _require(Permission.ADMINISTRATOR))


def step_up(view: View) -> View:
    """Require a code or passkey within the last `DEPLOYCTL_STEP_UP_SECONDS`; placed below a policy.

    Raises:
        TypeError: it is above the policy, where it would also ask people who lack the permission.
    """
    if hasattr(view, "policy"):
        raise TypeError(f"{view.__name__}: put @step_up below the policy, next to the view.")
    wrapped = _wrap(view, require_step_up)
    wrapped.step_up = True  # type: ignore[attr-defined]
    return wrapped


def _set_policy(view: View, name: str, check: Check) -> View:
    if hasattr(view, "policy"):
        raise TypeError(f"{view.__name__} already has the policy {view.policy}; a view has exactly one.")
    wrapped = _wrap(view, check, audit_denials=True)
    wrapped.policy = name  # type: ignore[attr-defined]
    return wrapped


def _wrap(view: View, check: Check, *, audit_denials: bool = False) -> View:
    """Return the view with a check before it.

    Args:
        audit_denials: append an audit entry when a method that the view calls raises `NotAllowed`. The check
            audits its own denials.
    """
    if iscoroutinefunction(view):

        @functools.wraps(view)
        async def asynchronous(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            response = await sync_to_async(check, thread_sensitive=True)(request)
            if response is not None:
                return response
            try:
                return cast("HttpResponseBase", await view(request, *args, **kwargs))
            except NotAllowed as error:
                if audit_denials:
                    await sync_to_async(_audit_not_allowed, thread_sensitive=True)(request, error)
                raise

        return cast("View", asynchronous)

    @functools.wraps(view)
    def synchronous(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = check(request)
        if response is not None:
            return response
        try:
            return cast("HttpResponseBase", view(request, *args, **kwargs))
        except NotAllowed as error:
            if audit_denials:
                _audit_not_allowed(request, error)
            raise

    return cast("View", synchronous)


def _require_identified(request: HttpRequest) -> HttpResponseBase | None:
    return None if request.user.is_authenticated else _redirect_to_sign_in(request)


def _require_must_change_password(request: HttpRequest) -> HttpResponseBase | None:
    response = _require_identified(request)
    if response is not None:
        return response
    user = cast("User", request.user)
    if user.has_second_factor and not user.is_verified() and not _used_recovery_code(request):
        return _redirect(request, reverse("accounts:step_up"))
    return None


def _require_must_enroll(request: HttpRequest) -> HttpResponseBase | None:
    response = _require_must_change_password(request)
    if response is not None:
        return response
    user = cast("User", request.user)
    if user.temporary_password_until is not None and _used_password(request):
        return _redirect(request, reverse("account_change_password"), temporary_passwords.REPLACE_IT)
    return None


def _require_member(request: HttpRequest) -> HttpResponseBase | None:
    response = _require_must_enroll(request)
    if response is not None:
        return response
    user = cast("User", request.user)
    if settings.SECOND_FACTOR_FOR_ALL and not user.has_second_factor:
        return _redirect(request, reverse("accounts:factor"), ENROLLMENT_REQUIRED)
    return None


def _require_enrolled(request: HttpRequest) -> HttpResponseBase | None:
    response = _require_member(request)
    if response is not None:
        return response
    user = cast("User", request.user)
    if not user.has_second_factor:
        return _redirect(request, reverse("accounts:factor"), ENROLL_FIRST)
    if not user.is_verified():
        return _redirect(request, reverse("accounts:step_up"), STEP_UP_AFTER_RECOVERY)
    return None


def _require(permission: Permission) -> Check:
    def check(request: HttpRequest) -> HttpResponseBase | None:
        user = request.user
        # Checked before the second factor, because nobody should enroll only to be denied.
        if user.is_authenticated and not user.may(permission):
            _audit_denial(request, permission=str(permission))
            raise NotAllowed(
                f"This needs the permission “{permission.label}”, which you don't have."
                " Nothing was changed. Ask an administrator for it."
            )
        return _require_enrolled(request)

    return check


def require_step_up(request: HttpRequest) -> HttpResponseBase | None:
    """Return a redirect to the step-up page, or None if the session has a fresh code.

    Views that always need a step-up use the decorator `step_up`.
    """
    sign_in = _sign_in(request)
    if sign_in is not None and sign_in.code_is_fresh:
        return None
    minutes = settings.DEPLOYCTL_STEP_UP_SECONDS // 60
    return _redirect(
        request,
        reverse("accounts:step_up"),
        f"This needs a code from the last {pluralize(minutes, 'minute')}. Confirm with a code or passkey,"
        " then try again.",
    )


def _redirect_to_sign_in(request: HttpRequest) -> HttpResponse:
    if "text/event-stream" in request.headers.get("Accept", ""):
        # An event stream can't follow a redirect to a page; the page that opened it will.
        return HttpResponse("Sign in first.", status=401, content_type="text/plain")
    reason = request.session.pop(END_REASON_KEY, "")
    return _redirect(request, resolve_url(settings.LOGIN_URL), END_MESSAGES.get(reason, ""))


def _redirect(request: HttpRequest, url: str, message: str = "") -> HttpResponse:
    """Redirect to another page, which returns to the current one afterwards."""
    if message:
        messages.warning(request, message)
    target = next_url.with_next(url, next_url.current_page(request))
    return HttpResponseClientRedirect(target) if getattr(request, "htmx", False) else redirect(target)


def _audit_not_allowed(request: HttpRequest, error: NotAllowed) -> None:
    if request.user.is_authenticated:
        _audit_denial(request, reason=error.message)


def _audit_denial(request: HttpRequest, **data: str) -> None:
    by = cast("User", request.user)
    denied_log.record(
        Action.ACCESS_DENIED, by=by, data={"method": request.method, "path": request.path} | data
    )


def _sign_in(request: HttpRequest) -> SignIn | None:
    return cast("SignIn | None", getattr(request, "sign_in", None))


def _used_password(request: HttpRequest) -> bool:
    sign_in = _sign_in(request)
    return sign_in is not None and sign_in.first_factor == FirstFactor.PASSWORD


def _used_recovery_code(request: HttpRequest) -> bool:
    sign_in = _sign_in(request)
    return sign_in is not None and sign_in.second_factor == SecondFactor.RECOVERY_CODE
