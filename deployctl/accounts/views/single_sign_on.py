"""Redirects to the single sign-on provider, and its callback."""

from __future__ import annotations

import logging
from typing import cast

from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from django.http import Http404, HttpRequest, HttpResponseBase
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from deployctl.accounts import next_url, single_sign_on
from deployctl.accounts.policies import identified, public
from deployctl.accounts.sso_id_token import VerifyingAdapter
from deployctl.accounts.views.passkeys import MAX_ABOUT_LENGTH
from deployctl.errors import Refusal
from deployctl.web.http import posted

logger = logging.getLogger(__name__)


@public
@never_cache
@require_POST
def start(request: HttpRequest) -> HttpResponseBase:
    """Redirect to the provider to sign in."""
    return single_sign_on.redirect_to_provider(request, next_page=next_url.requested(request))


@identified
@never_cache
@require_POST
def reauthentication(request: HttpRequest) -> HttpResponseBase:
    """Redirect to the provider to reauthenticate for a signature."""
    return single_sign_on.redirect_to_provider(
        request,
        next_page=next_url.destination(request),
        about=posted(request, "about")[:MAX_ABOUT_LENGTH],
        process=single_sign_on.REAUTHENTICATE,
    )


@public
@never_cache
@require_safe
def callback(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """Complete a sign-in or reauthentication with the provider's response."""
    if not single_sign_on.is_configured():
        raise Refusal(single_sign_on.NOT_CONFIGURED)
    if provider_id != single_sign_on.PROVIDER_ID:
        raise Http404
    try:
        view = OAuth2CallbackView.adapter_view(VerifyingAdapter(request, provider_id))  # type: ignore[no-untyped-call]
        return cast("HttpResponseBase", view(request))
    except single_sign_on.PROVIDER_ERRORS as error:
        logger.warning("single sign-on failed: %r", error)
        raise Refusal(single_sign_on.provider_error_message()) from error
