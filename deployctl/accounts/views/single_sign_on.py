"""To the provider of single sign-on and back."""

from __future__ import annotations

import logging
from typing import cast

from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from django.http import Http404, HttpRequest, HttpResponseBase
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from deployctl.accounts import next_url, single_sign_on
from deployctl.accounts.policies import identified, public
from deployctl.accounts.sso_id_token import Protocol
from deployctl.accounts.views.passkeys import LONGEST_ABOUT
from deployctl.errors import Refusal
from deployctl.web.http import posted

logger = logging.getLogger(__name__)


@public
@never_cache
@require_POST
def start(request: HttpRequest) -> HttpResponseBase:
    """Off to the provider, to sign in."""
    return single_sign_on.leave_for_provider(request, following=next_url.requested(request))


@identified
@never_cache
@require_POST
def reauthentication(request: HttpRequest) -> HttpResponseBase:
    """Off to the provider, to sign in again for what is about to be signed."""
    return single_sign_on.leave_for_provider(
        request,
        following=next_url.destination(request),
        about=posted(request, "about")[:LONGEST_ABOUT],
        process=single_sign_on.REAUTHENTICATE,
    )


@public
@never_cache
@require_safe
def callback(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """Back from the provider."""
    if not single_sign_on.is_on():
        raise Refusal(single_sign_on.OFF)
    if provider_id != single_sign_on.PROVIDER_ID:
        raise Http404
    try:
        view = OAuth2CallbackView.adapter_view(Protocol(request, provider_id))  # type: ignore[no-untyped-call]
        return cast("HttpResponseBase", view(request))
    except single_sign_on.PROVIDER_ERRORS as error:
        logger.warning("single sign-on failed: %r", error)
        raise Refusal(single_sign_on.unreachable()) from error
