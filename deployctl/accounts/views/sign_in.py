"""The second step of signing in: a code, before anything else is shown."""

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
from deployctl.accounts.models.recovery_code import FEW
from deployctl.accounts.models.sign_in import SecondFactor
from deployctl.accounts.policies import public
from deployctl.accounts.signing_credentials import second_factor_of, verify_factor
from deployctl.errors import DeployctlError, Refusal
from deployctl.web.errors import problem_response

CANNOT_COUNT = (
    "Attempts cannot be counted at the moment, so passwords are not looked at: Redis cannot be reached."
    " Whoever is signed in can go on working. Try again in a minute."
)
NOTHING_TO_CHANGE = (
    "You have no password here that could be changed: you sign in by single sign-on. Nothing was changed."
    " If you need one, ask an administrator for an invitation to choose it."
)


def requires_rate_limit(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Around a page of django-allauth that limits attempts: say so when the counters are out of reach."""

    @functools.wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except RedisError:
            return problem_response(request, CANNOT_COUNT, status=503)

    return guarded


def requires_password(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Around django-allauth's page of changing a password: who has none is told so.

    It would send them on to its page of setting one, which is not for people here.
    """

    @functools.wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not cast("User", request.user).has_usable_password():
            raise Refusal(NOTHING_TO_CHANGE)
        return view(request, *args, **kwargs)

    return guarded


def requires_email(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Around django-allauth's pages that send a link: where e-mail reaches nobody, say what to do instead."""

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
    """Ask for the one-time code, or take a recovery code instead (`?with=recovery`)."""
    stage = LoginStageController.enter(request, CodeStage.key)
    if request.user.is_authenticated:
        return redirect(next_url.destination(request))
    if stage is None or stage.login.user is None:
        return redirect("account_login")
    by_recovery = request.GET.get("with") == "recovery"
    user = cast("User", stage.login.user)
    form = (
        RecoveryCodeForm(request.POST or None) if by_recovery else FactorForm(request.POST or None, user=user)
    )
    if form.is_valid():
        try:
            _accept(request, user, form.cleaned_data, by_recovery=by_recovery)
        except DeployctlError as error:
            form.add_error("code" if form.cleaned_data.get("code") else None, error.sentence)
        else:
            return cast("HttpResponseBase", stage.exit())
    context = {"form": form, "by_recovery": by_recovery} | passkeys.for_page(request)
    return render(request, "accounts/sign_in_code.html", context, status=422 if form.errors else 200)


@public
@never_cache
@require_POST
def sign_in_passkey(request: HttpRequest) -> HttpResponseBase:
    """What to ask a passkey for, between password and being signed in."""
    stage = LoginStageController.enter(request, CodeStage.key)
    if request.user.is_authenticated:
        return redirect(next_url.destination(request))
    if stage is None or stage.login.user is None:
        return redirect("account_login")
    return JsonResponse(passkeys.options(request, cast("User", stage.login.user), Purpose.SIGN_IN))


def _accept(request: Any, user: User, given: dict[str, str], *, by_recovery: bool) -> None:
    """Have code or passkey accepted, and tell the adapter, which signs in, how it went.

    Raises:
        deployctl.errors.DeployctlError: it is not accepted.
    """
    if not by_recovery:
        factor = verify_factor(
            user, code=given.get("code", ""), passkey=given.get("passkey", ""), purpose=Purpose.SIGN_IN
        )
        user.otp_device = factor  # django-otp keeps it in the session at login
        request.second_factor_given = second_factor_of(factor)
        return
    left = attempts.use_recovery_code(user, given["code"])
    request.second_factor_given = SecondFactor.RECOVERY_CODE
    messages.warning(
        request,
        f"You signed in with a recovery code; {left} are left."
        + (" Set up your authenticator app again under My account." if left <= FEW else ""),
    )
