"""Set up and replace the authenticator app, confirm a step-up, and regenerate recovery codes."""

from __future__ import annotations

import datetime as dt

import django_otp
import segno
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST
from django_otp.models import Device

from deployctl.accounts import attempts, next_url, passkeys
from deployctl.accounts.current_user import current_sign_in, current_user
from deployctl.accounts.forms import EnrollForm, FactorForm
from deployctl.accounts.models import SignIn, TotpFactor
from deployctl.accounts.models.passkey_challenge import Purpose
from deployctl.accounts.models.sign_in import SecondFactor
from deployctl.accounts.policies import enrolled, identified, must_enroll, step_up
from deployctl.accounts.signing_credentials import second_factor_type, verify_second_factor
from deployctl.errors import DeployctlError, Refusal

SIGN_IN_AGAIN = (
    "Setting up a second factor needs a recent sign-in. Nothing was changed."
    " Sign out, sign in again, and try again."
)


@must_enroll
@never_cache
@sensitive_post_parameters("code", "password")
@require_http_methods(["GET", "HEAD", "POST"])
def factor(request: HttpRequest) -> HttpResponse:
    """Show the key of a new authenticator app, and activate it with its first code."""
    user, sign_in = current_user(request), current_sign_in(request)
    has_second_factor, replaces = user.has_second_factor, user.totp_factor is not None
    if must_step_up_first(request):
        return redirect(next_url.with_next(reverse("accounts:step_up"), request.get_full_path()))
    ask_password = not has_second_factor and not signed_in_recently(sign_in)
    if ask_password and not user.has_usable_password():
        raise Refusal(SIGN_IN_AGAIN)
    form = EnrollForm(request.POST or None, ask_password=ask_password)
    if form.is_valid():
        try:
            codes = attempts.enroll(
                user, form.cleaned_data["code"], password=form.cleaned_data.get("password"), keep=sign_in.pk
            )
        except DeployctlError as error:
            form.add_error(None, error.message)
        else:
            upgrade_session(request, TotpFactor.objects.get(user=user, confirmed=True))
            return show_recovery_codes(request, codes, replaced=has_second_factor)
    # Created at the first visit; it isn't active until a code has confirmed it.
    new = TotpFactor.objects.start(user)
    context = {
        "form": form,
        "replaces": replaces,
        "qr": segno.make(new.config_url, error="m").svg_data_uri(scale=5, border=4, light="white"),
        "text_secret": new.text_secret,
        "next": next_url.requested(request),
    }
    return render(request, "accounts/factor.html", context, status=422 if form.errors else 200)


@identified
@never_cache
@sensitive_post_parameters("code", "passkey")
@require_http_methods(["GET", "HEAD", "POST"])
def step_up_page(request: HttpRequest) -> HttpResponse:
    """Ask for a fresh code or passkey before a sensitive action, and return to the previous page."""
    user = current_user(request)
    if not user.has_second_factor:
        return redirect(next_url.with_next(reverse("accounts:factor"), next_url.requested(request)))
    form = FactorForm(request.POST or None, user=user)
    if form.is_valid():
        code, passkey = form.cleaned_data.get("code", ""), form.cleaned_data.get("passkey", "")
        try:
            factor = verify_second_factor(user, code=code, passkey=passkey, purpose=Purpose.STEP_UP)
        except DeployctlError as error:
            form.add_error("code" if code else None, error.message)
        else:
            upgrade_session(request, factor)
            return redirect(next_url.destination(request))
    context = {
        "form": form,
        "next": next_url.requested(request),
        "used_recovery_code": current_sign_in(request).second_factor == SecondFactor.RECOVERY_CODE,
    } | passkeys.page_context(request)
    return render(request, "accounts/step_up.html", context, status=422 if form.errors else 200)


@enrolled
@step_up
@never_cache
@require_POST
def recovery_codes(request: HttpRequest) -> HttpResponse:
    """Replace the recovery codes."""
    user = current_user(request)
    return show_recovery_codes(request, user.renew_recovery_codes(by=user), replaced=True)


def must_step_up_first(request: HttpRequest) -> bool:
    """Return True if setting up a second factor needs a step-up, because the person already has one.

    A recovery code at sign-in is enough, because people without their second factor must be able to replace
    it.
    """
    sign_in = current_sign_in(request)
    used_recovery_code = sign_in.second_factor == SecondFactor.RECOVERY_CODE
    return current_user(request).has_second_factor and not (sign_in.code_is_fresh or used_recovery_code)


def upgrade_session(request: HttpRequest, factor: Device) -> None:
    """Mark the session as verified by a second factor, and change its ID."""
    django_otp.login(request, factor)  # type: ignore[no-untyped-call]
    request.session.cycle_key()
    current_sign_in(request).record_second_factor(second_factor_type(factor))


def show_recovery_codes(request: HttpRequest, codes: list[str], *, replaced: bool) -> HttpResponse:
    """Render the codes instead of redirecting, because they aren't stored.

    Args:
        request: the request.
        codes: the new recovery codes.
        replaced: whether the person had earlier codes.
    """
    next_page = next_url.requested(request) or reverse("accounts:account")
    context = {"codes": codes, "replaced": replaced, "next": next_page}
    return render(request, "accounts/recovery_codes.html", context)


def signed_in_recently(sign_in: SignIn) -> bool:
    """Return True if the person signed in recently."""
    return timezone.now() - sign_in.started_at <= dt.timedelta(seconds=settings.DEPLOYCTL_STEP_UP_SECONDS)
