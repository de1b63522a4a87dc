"""Pages for administrators to list, create and revoke API tokens."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from deployctl.accounts.current_user import current_user
from deployctl.accounts.forms import NewTokenForm
from deployctl.accounts.models import ApiToken
from deployctl.accounts.policies import administrator, step_up
from deployctl.web.http import see_other


@administrator
@require_safe
def tokens(request: HttpRequest) -> HttpResponse:
    """List all tokens, including expired and revoked ones."""
    found = ApiToken.objects.select_related("owner")
    return render(request, "accounts/tokens.html", {"tokens": found})


@administrator
@step_up
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def new_token(request: HttpRequest) -> HttpResponse:
    """Create a token and show it once."""
    form = NewTokenForm(request.POST or None)
    if form.is_valid():
        created, text = ApiToken.objects.issue(
            by=current_user(request),
            name=form.cleaned_data["name"],
            scopes=form.cleaned_data["scopes"],
            days=form.cleaned_data["days"],
        )
        return render(request, "accounts/token_created.html", {"token": created, "text": text})
    return render(request, "accounts/token_new.html", {"form": form}, status=422 if form.errors else 200)


@administrator
@step_up
@require_http_methods(["DELETE"])
def token(request: HttpRequest, number: int) -> HttpResponse:
    """Revoke a token."""
    found = get_object_or_404(ApiToken, pk=number)
    found.revoke(by=current_user(request))
    messages.success(request, f"The token {found.name} was revoked.")
    return see_other(request, reverse("accounts:tokens"))
