"""The second factor: setting it up, replacing it, giving a fresh code, paper codes."""

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
from deployctl.accounts.signing_credentials import second_factor_of, verify_factor
from deployctl.errors import DeployctlError, Refusal

SIGN_IN_AGAIN = (
    "You signed in a while ago. Nothing was changed."
    " Sign out, sign in again, and set up the second factor then."
)


@must_enroll
@never_cache
@sensitive_post_parameters("code", "password")
@require_http_methods(["GET", "HEAD", "POST"])
def factor(request: HttpRequest) -> HttpResponse:
    """Show the key of a new factor, and put it in force once its first code is right."""
    user, sign_in = current_user(request), current_sign_in(request)
    has_factor, replaces = user.has_factor, user.factor is not None
    if must_give_a_code_first(request):
        return redirect(next_url.with_next(reverse("accounts:step_up"), request.get_full_path()))
    ask_password = not has_factor and not signed_in_recently(sign_in)
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
            raise_session(request, TotpFactor.objects.get(user=user, confirmed=True))
            return show_codes(request, codes, voids=has_factor)
    # Made by the first look at the page: it counts for nothing before a code has confirmed it.
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
def give_code(request: HttpRequest) -> HttpResponse:
    """Ask for a fresh code, for acts that want one, and go back."""
    user = current_user(request)
    if not user.has_factor:
        return redirect(next_url.with_next(reverse("accounts:factor"), next_url.requested(request)))
    form = FactorForm(request.POST or None, user=user)
    if form.is_valid():
        code, passkey = form.cleaned_data.get("code", ""), form.cleaned_data.get("passkey", "")
        try:
            factor = verify_factor(user, code=code, passkey=passkey, purpose=Purpose.STEP_UP)
        except DeployctlError as error:
            form.add_error("code" if code else None, error.message)
        else:
            raise_session(request, factor)
            return redirect(next_url.destination(request))
    context = {
        "form": form,
        "next": next_url.requested(request),
        "recovered": current_sign_in(request).second_factor == SecondFactor.RECOVERY_CODE,
    } | passkeys.for_page(request)
    return render(request, "accounts/give_code.html", context, status=422 if form.errors else 200)


@enrolled
@step_up
@never_cache
@require_POST
def recovery_codes(request: HttpRequest) -> HttpResponse:
    """Make new recovery codes; the old ones are void."""
    user = current_user(request)
    return show_codes(request, user.renew_recovery_codes(by=user), voids=True)


def must_give_a_code_first(request: HttpRequest) -> bool:
    """Whether what sets up a second factor waits for a fresh code: it does, where there is a factor already.

    Not for who has lost it and signed in with a recovery code: they must get another.
    """
    sign_in = current_sign_in(request)
    recovered = sign_in.second_factor == SecondFactor.RECOVERY_CODE
    return current_user(request).has_factor and not (sign_in.code_is_fresh or recovered)


def raise_session(request: HttpRequest, factor: Device) -> None:
    """A second factor was accepted: this session is worth more now, so it gets another id."""
    django_otp.login(request, factor)  # type: ignore[no-untyped-call]
    request.session.cycle_key()
    current_sign_in(request).record_second_factor(second_factor_of(factor))


def show_codes(request: HttpRequest, codes: list[str], *, voids: bool) -> HttpResponse:
    """Answer with the codes themselves rather than with a redirect: they exist nowhere else."""
    following = next_url.requested(request) or reverse("accounts:account")
    context = {"codes": codes, "voids": voids, "next": following}
    return render(request, "accounts/recovery_codes.html", context)


def signed_in_recently(sign_in: SignIn) -> bool:
    """Whether the person said who they are not long ago."""
    return timezone.now() - sign_in.started_at <= dt.timedelta(seconds=settings.DEPLOYCTL_STEP_UP_SECONDS)
