"""The second step of signing in: a one-time code, a passkey or a recovery code."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, cast

from allauth.account.stages import LoginStageController
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST
from redis.exceptions import RedisError

from deployctl.accounts import attempts, next_url, passkeys
from deployctl.accounts.adapter import CodeStage
from deployctl.accounts.email import can_send
from deployctl.accounts.forms import FactorForm, RecoveryCodeForm
from deployctl.accounts.models import User
from deployctl.accounts.models.passkey_challenge import Purpose
from deployctl.accounts.models.recovery_code import LOW_CODE_COUNT
from deployctl.accounts.models.sign_in import SecondFactor
from deployctl.accounts.policies import public
from deployctl.accounts.signing_credentials import second_factor_type, verify_second_factor
from deployctl.errors import DeployctlError, Refusal
from deployctl.text import pluralize
from deployctl.web.errors import problem_response

CANNOT_COUNT = (
    "Redis is unreachable, so attempts can't be counted and nobody can sign in at the moment."
    " People who are signed in can continue. Try again in a minute."
)
NOTHING_TO_CHANGE = (
    "You don't have a password here, because you use single sign-on. Nothing was changed."
    " If you need a password, ask an administrator for an invitation."
)


def requires_rate_limit(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Wrap a rate-limited view of django-allauth; show an error page if Redis is unreachable."""

    @functools.wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except RedisError:
            return problem_response(request, CANNOT_COUNT, status=503)

    return guarded


def requires_password(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Wrap django-allauth's page for changing a password; show an error to people without a password.

    Otherwise it would redirect them to its page for setting one, which isn't included here.
    """

    @functools.wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not cast("User", request.user).has_usable_password():
            raise Refusal(NOTHING_TO_CHANGE)
        return view(request, *args, **kwargs)

    return guarded


def requires_email(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Wrap a page of django-allauth that sends a link; without e-mail, show what to do instead."""

    @functools.wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not can_send():
            status = 409 if request.method == "POST" else 200
            return render(request, "account/password_reset_without_mail.html", status=status)
        return view(request, *args, **kwargs)

    return guarded


@public
@never_cache
@sensitive_post_parameters("code", "passkey")
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in_code(request: HttpRequest) -> HttpResponseBase:
    """Ask for a second factor, or for a recovery code (`?with=recovery`)."""
    stage = LoginStageController.enter(request, CodeStage.key)
    if request.user.is_authenticated:
        return redirect(next_url.destination(request))
    if stage is None or stage.login.user is None:
        return redirect("account_login")
    uses_recovery = request.GET.get("with") == "recovery"
    user = cast("User", stage.login.user)
    form = (
        RecoveryCodeForm(request.POST or None)
        if uses_recovery
        else FactorForm(request.POST or None, user=user)
    )
    if form.is_valid():
        try:
            _verify(request, user, form.cleaned_data, uses_recovery=uses_recovery)
        except DeployctlError as error:
            form.add_error("code" if form.cleaned_data.get("code") else None, error.message)
        else:
            return cast("HttpResponseBase", stage.exit())
    context = {"form": form, "uses_recovery": uses_recovery} | passkeys.page_context(request)
    return render(request, "accounts/sign_in_code.html", context, status=422 if form.errors else 200)


@public
@never_cache
@require_POST
def sign_in_passkey(request: HttpRequest) -> HttpResponseBase:
    """Return the options for using a passkey as the second factor."""
    stage = LoginStageController.enter(request, CodeStage.key)
    if request.user.is_authenticated:
        return redirect(next_url.destination(request))
    if stage is None or stage.login.user is None:
        return redirect("account_login")
    return JsonResponse(passkeys.options(request, cast("User", stage.login.user), Purpose.SIGN_IN))


def _verify(request: Any, user: User, data: dict[str, str], *, uses_recovery: bool) -> None:
    """Verify the second factor or recovery code, and store it on the request for the adapter.

    Raises:
        deployctl.errors.DeployctlError: it isn't valid.
    """
    if not uses_recovery:
        factor = verify_second_factor(
            user, code=data.get("code", ""), passkey=data.get("passkey", ""), purpose=Purpose.SIGN_IN
        )
        user.otp_device = factor  # django-otp stores it in the session at login
        request.accepted_second_factor = second_factor_type(factor)
        return
    left = attempts.use_recovery_code(user, data["code"])
    request.accepted_second_factor = SecondFactor.RECOVERY_CODE
    messages.warning(
        request,
        f"You signed in with a recovery code. You have {pluralize(left, 'recovery code')} left."
        + (" Set up a second factor again under My account." if left <= LOW_CODE_COUNT else ""),
    )
