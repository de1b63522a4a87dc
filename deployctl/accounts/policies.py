"""Decorators that say who may call a view. Every view carries exactly one policy.

    @operator
    @step_up
    def drop_database(request): ...

The policies are `public`, `identified`, `must_change_password`, `must_enroll`, `member`, `enrolled`,
`operator`, `approver` and `administrator`; each sets `view.policy`. `step_up` goes below one of the last
four. They work on sync and async views. A visitor is redirected to the sign-in page and back, in the way that
the caller understands (htmx, event stream). A person without the permission gets `NotAllowed` (403), which
is audited.
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
from deployctl.accounts.models.sign_in import ENDED_KEY, FirstFactor, SecondFactor
from deployctl.accounts.roles import Permission
from deployctl.audit import Action
from deployctl.errors import NotAllowed
from deployctl.text import pluralize

View = TypeVar("View", bound=Callable[..., Any])
# What a policy says of a request: an answer instead of the view's, or None to go on.
Check = Callable[[HttpRequest], HttpResponseBase | None]

ENROLL_FIRST = "This needs a second factor. Set it up now; it takes a minute, and brings you back afterwards."
ENROLLMENT_REQUIRED = (
    "Everybody here has a second factor. Set it up now; it takes a minute, and brings you back afterwards."
)
RECOVERED = (
    "You signed in with a recovery code, which does not allow this."
    " Give a code of your authenticator app, or set it up again."
)
ENDED = {
    "idle": "You were signed out because nothing happened for a while. Sign in to go on.",
    "session limit reached": "You were signed out because the session reached its time limit. Sign in again.",
    "password changed": "You were signed out because your password was changed. Sign in with the new one.",
    "second factor changed": "You were signed out because your second factor was changed. Sign in to go on.",
    "second factor removed": "You were signed out because your second factor was taken away. Sign in again.",
    "signed out remotely": "You were signed out from another browser. Sign in to go on.",
    "single sign-on unlinked": "You were signed out because single sign-on must link you anew.",
}


def public(view: View) -> View:
    """Anybody, signed in or not."""
    return _guard(view, "public", lambda _request: None)


def identified(view: View) -> View:
    """Signed in with the password at least: for the pages that ask for the code."""
    return _guard(view, "identified", _require_identified)


def must_change_password(view: View) -> View:
    """A member, or would be one but for a password of their own: for the page on which they choose it."""
    return _guard(view, "must_change_password", _require_must_change_password)


def must_enroll(view: View) -> View:
    """A member, or would be one but for a second factor: for the pages on which they set it up.

    The password comes first: whoever handed it over could otherwise add a factor of theirs.
    """
    return _guard(view, "must_enroll", _require_must_enroll)


def member(view: View) -> View:
    """Signed in, with the second factor given where one is enrolled.

    And with a password of their own; where the installation demands it of everybody, with a second factor.
    """
    return _guard(view, "member", _require_member)


def enrolled(view: View) -> View:
    """Signed in with a one-time code; who has no second factor yet is sent to set it up, and back."""
    return _guard(view, "enrolled", _require_enrolled)


def operator(view: View) -> View:
    """Enrolled, and may start operations."""
    return _guard(view, "operator", _require(Permission.OPERATOR))


def approver(view: View) -> View:
    """Enrolled, and may approve and read the audit log."""
    return _guard(view, "approver", _require(Permission.APPROVER))


def administrator(view: View) -> View:
    """Enrolled, and administers people and settings."""
    return _guard(view, "administrator", _require(Permission.ADMINISTRATOR))


def step_up(view: View) -> View:
    """Below a policy: and a one-time code was given within the last `DEPLOYCTL_STEP_UP_SECONDS`.

    Raises:
        TypeError: placed above the policy, where it would be asked of people who may not at all.
    """
    if hasattr(view, "policy"):
        raise TypeError(f"{view.__name__}: put @step_up below the policy, next to the view.")
    guarded = _wrap(view, ask_for_fresh_code)
    guarded.step_up = True  # type: ignore[attr-defined]
    return guarded


def _guard(view: View, name: str, check: Check) -> View:
    if hasattr(view, "policy"):
        raise TypeError(f"{view.__name__} has the policy {view.policy} already; a view carries exactly one.")
    guarded = _wrap(view, check, audits_refusals=True)
    guarded.policy = name  # type: ignore[attr-defined]
    return guarded


def _wrap(view: View, check: Check, *, audits_refusals: bool = False) -> View:
    """Return the view behind a check.

    Args:
        audits_refusals: append an audit entry when a verb that the view calls raises `NotAllowed`; verbs know
            more than the policy. Refusals of the check itself are for the check to audit.
    """
    if iscoroutinefunction(view):

        @functools.wraps(view)
        async def asynchronous(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            answer = await sync_to_async(check, thread_sensitive=True)(request)
            if answer is not None:
                return answer
            try:
                return cast("HttpResponseBase", await view(request, *args, **kwargs))
            except NotAllowed as error:
                if audits_refusals:
                    await sync_to_async(_audit_not_allowed, thread_sensitive=True)(request, error)
                raise

        return cast("View", asynchronous)

    @functools.wraps(view)
    def synchronous(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        answer = check(request)
        if answer is not None:
            return answer
        try:
            return cast("HttpResponseBase", view(request, *args, **kwargs))
        except NotAllowed as error:
            if audits_refusals:
                _audit_not_allowed(request, error)
            raise

    return cast("View", synchronous)


def _require_identified(request: HttpRequest) -> HttpResponseBase | None:
    return None if request.user.is_authenticated else _send_to_sign_in(request)


def _require_must_change_password(request: HttpRequest) -> HttpResponseBase | None:
    answer = _require_identified(request)
    if answer is not None:
        return answer
    user = cast("User", request.user)
    if user.has_factor and not user.is_verified() and not _recovered(request):
        return _send(request, reverse("accounts:step_up"))
    return None


def _require_must_enroll(request: HttpRequest) -> HttpResponseBase | None:
    answer = _require_must_change_password(request)
    if answer is not None:
        return answer
    user = cast("User", request.user)
    if user.temporary_password_until is not None and _came_by_password(request):
        return _send(request, reverse("account_change_password"), temporary_passwords.REPLACE_IT)
    return None


def _require_member(request: HttpRequest) -> HttpResponseBase | None:
    answer = _require_must_enroll(request)
    if answer is not None:
        return answer
    user = cast("User", request.user)
    if settings.SECOND_FACTOR_FOR_ALL and not user.has_factor:
        return _send(request, reverse("accounts:factor"), ENROLLMENT_REQUIRED)
    return None


def _require_enrolled(request: HttpRequest) -> HttpResponseBase | None:
    answer = _require_member(request)
    if answer is not None:
        return answer
    user = cast("User", request.user)
    if not user.has_factor:
        return _send(request, reverse("accounts:factor"), ENROLL_FIRST)
    if not user.is_verified():
        return _send(request, reverse("accounts:step_up"), RECOVERED)
    return None


def _require(permission: Permission) -> Check:
    def check(request: HttpRequest) -> HttpResponseBase | None:
        user = request.user
        # Before the second factor: nobody enrols only to be told that they may not.
        if user.is_authenticated and not user.may(permission):
            _audit_denial(request, permission=str(permission))
            raise NotAllowed(
                f"This takes the permission “{permission.label}”, which you do not have."
                " Nothing was changed. An administrator can give it to you."
            )
        return _require_enrolled(request)

    return check


def ask_for_fresh_code(request: HttpRequest) -> HttpResponseBase | None:
    """Return a response that asks for a fresh code, or None if the session has one.

    For a view that needs it for some requests only; `step_up` is for views that always do.
    """
    sign_in = _sign_in(request)
    if sign_in is not None and sign_in.code_is_fresh:
        return None
    minutes = settings.DEPLOYCTL_STEP_UP_SECONDS // 60
    return _send(
        request,
        reverse("accounts:step_up"),
        f"This asks for a code given within the last {pluralize(minutes, 'minute')}. Give one, then do it "
        "again.",
    )


def _send_to_sign_in(request: HttpRequest) -> HttpResponse:
    if "text/event-stream" in request.headers.get("Accept", ""):
        # An event stream cannot follow to a page; the page around it will.
        return HttpResponse("Sign in first.", status=401, content_type="text/plain")
    ended = request.session.pop(ENDED_KEY, "")
    return _send(request, resolve_url(settings.LOGIN_URL), ENDED.get(ended, ""))


def _send(request: HttpRequest, url: str, sentence: str = "") -> HttpResponse:
    """To another page and back to this one afterwards."""
    if sentence:
        messages.warning(request, sentence)
    target = next_url.with_next(url, next_url.page_of(request))
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


def _came_by_password(request: HttpRequest) -> bool:
    sign_in = _sign_in(request)
    return sign_in is not None and sign_in.first_factor == FirstFactor.PASSWORD


def _recovered(request: HttpRequest) -> bool:
    sign_in = _sign_in(request)
    return sign_in is not None and sign_in.second_factor == SecondFactor.RECOVERY_CODE
