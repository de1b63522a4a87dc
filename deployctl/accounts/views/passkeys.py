"""Add and remove passkeys, and return WebAuthn options to browsers."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from deployctl.accounts import next_url, passkeys
from deployctl.accounts.current_user import current_sign_in, current_user
from deployctl.accounts.forms import PasskeyForm
from deployctl.accounts.models import Passkey
from deployctl.accounts.models.passkey_challenge import Purpose
from deployctl.accounts.policies import enrolled, identified, must_enroll, step_up
from deployctl.accounts.views.factor import (
    SIGN_IN_AGAIN,
    must_step_up_first,
    show_recovery_codes,
    signed_in_recently,
    upgrade_session,
)
from deployctl.errors import DeployctlError, Refusal
from deployctl.web.http import see_other

# The length of a SHA-256 digest in hexadecimal.
MAX_ABOUT_LENGTH = 64


@must_enroll
@never_cache
@sensitive_post_parameters("passkey")
@require_http_methods(["GET", "HEAD", "POST"])
def new_passkey(request: HttpRequest) -> HttpResponse:
    """Add a passkey; with a person's first second factor, show recovery codes."""
    user = current_user(request)
    if must_step_up_first(request):
        return redirect(next_url.with_next(reverse("accounts:step_up"), request.get_full_path()))
    if not user.has_second_factor and not signed_in_recently(current_sign_in(request)):
        raise Refusal(SIGN_IN_AGAIN)
    form = PasskeyForm(request.POST or None)
    if form.is_valid():
        name = form.cleaned_data["name"]
        try:
            codes = passkeys.register(
                user, name, form.cleaned_data["passkey"], keep=current_sign_in(request).pk
            )
        except DeployctlError as error:
            form.add_error(None, error.message)
        else:
            upgrade_session(request, user.passkeys.latest("pk"))
            messages.success(request, f"The passkey “{name}” was added.")
            if codes:
                return show_recovery_codes(request, codes, replaced=False)
            return see_other(request, next_url.requested(request) or reverse("accounts:account"))
    context = {"form": form, "next": next_url.requested(request)} | passkeys.page_context(request)
    return render(request, "accounts/passkey_new.html", context, status=422 if form.errors else 200)


@must_enroll
@never_cache
@require_POST
def registration(request: HttpRequest) -> HttpResponse:
    """Return the options for creating a passkey."""
    if must_step_up_first(request):
        return redirect("accounts:step_up")
    return JsonResponse(passkeys.registration_options(request, current_user(request)))


@identified
@never_cache
@require_POST
def challenge(request: HttpRequest) -> HttpResponse:
    """Return the options for using a passkey for a step-up, or for a signature of the digest in `?about=`."""
    about = request.GET.get("about", "")[:MAX_ABOUT_LENGTH]
    purpose = Purpose.SIGNATURE if about else Purpose.STEP_UP
    return JsonResponse(passkeys.options(request, current_user(request), purpose, about))


@enrolled
@step_up
@require_http_methods(["DELETE"])
def passkey(request: HttpRequest, number: int) -> HttpResponse:
    """Remove one of the person's passkeys."""
    user = current_user(request)
    removed: Passkey = get_object_or_404(user.passkeys, pk=number)
    user.remove_passkey(removed, by=user)
    messages.success(request, f"The passkey “{removed.name}” was removed.")
    return see_other(request, reverse("accounts:account"))
