"""The page My account: profile, second factors and sessions."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from deployctl.accounts.current_user import current_sign_in, current_user
from deployctl.accounts.forms import ProfileForm
from deployctl.accounts.models.recovery_code import LOW_CODE_COUNT
from deployctl.accounts.policies import member
from deployctl.text import pluralize
from deployctl.web.forms import add_to_form
from deployctl.web.http import see_other


@member
@require_http_methods(["GET", "HEAD", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    """Show the account page, or save the profile."""
    user = current_user(request)
    form = ProfileForm.for_user(user, request.POST or None)
    if form.is_valid() and add_to_form(form, lambda: user.edit(by=user, **form.cleaned_data) or user):
        messages.success(request, "Saved.")
        return see_other(request, reverse("accounts:account"))
    left = user.recovery_codes.unused().count()
    context = {
        "form": form,
        "factor": user.totp_factor,
        "passkeys": user.passkeys.all(),
        "codes_left": left,
        "few_codes_left": left <= LOW_CODE_COUNT,
        "permissions": [grant.get_permission_display() for grant in user.grants.all()],
        "sign_ins": user.sign_ins.open(),
        "current": current_sign_in(request),
    }
    return render(request, "accounts/account.html", context, status=422 if form.errors else 200)


@member
@require_http_methods(["DELETE"])
def other_sessions(request: HttpRequest) -> HttpResponse:
    """End the person's other sessions."""
    user = current_user(request)
    ended = user.end_sessions(by=user, keep=current_sign_in(request).pk)
    messages.success(request, f"Signed out of {pluralize(ended, 'other session')}.")
    return see_other(request, reverse("accounts:account"))


@member
@require_http_methods(["DELETE"])
def session(request: HttpRequest, number: int) -> HttpResponse:
    """End one of the person's sessions."""
    user = current_user(request)
    get_object_or_404(user.sign_ins, pk=number).end_remotely(by=user)
    messages.success(request, "That session is signed out.")
    return see_other(request, reverse("accounts:account"))
