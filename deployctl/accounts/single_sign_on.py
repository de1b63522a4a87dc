"""Single sign-on: sign in and reauthenticate at an OpenID Connect provider.

django-allauth implements the protocol (authorization code with PKCE); this module decides who can sign in.
New people are added only if `OIDC_DOMAINS` lists their domain. Second factors are always deployctl's own.
"""

from __future__ import annotations

import datetime as dt
import logging
import secrets
from typing import Any, cast

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter, get_adapter
from allauth.socialaccount.models import SocialApp, SocialLogin
from allauth.socialaccount.providers.base.constants import AuthError, AuthProcess
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone
from jwt import PyJWTError
from requests import RequestException

from deployctl import audit
from deployctl.accounts import sso_links
from deployctl.accounts.models import Reauthentication, User
from deployctl.accounts.sso_identity import Identity
from deployctl.audit import Action, Machine
from deployctl.errors import DeployctlError, NotAllowed, Refusal
from deployctl.web import errors
from deployctl.web.http import HttpResponseSeeOther

logger = logging.getLogger(__name__)

PROVIDER_ID = "sso"
REAUTHENTICATE = "reauthenticate"
NOT_CONFIGURED = "Single sign-on isn't set up here. Sign in with your password."
# The permitted difference between the provider's clock and ours.
CLOCK_TOLERANCE_S = 60
# The errors of the libraries when the provider is unreachable, misconfigured or broken.
PROVIDER_ERRORS = (RequestException, OAuth2Error, PyJWTError, KeyError, ValueError)


class Adapter(DefaultSocialAccountAdapter):
    """The adapter of django-allauth's single sign-on."""

    def list_apps(
        self, _request: HttpRequest, provider: str | None = None, client_id: str | None = None
    ) -> list[SocialApp]:
        """Return the provider from the settings, if there is one; the database is ignored."""
        if not settings.OIDC_ISSUER or client_id not in (None, settings.OIDC_CLIENT_ID):
            return []
        if provider not in (None, PROVIDER_ID, "openid_connect"):
            return []
        return [
            SocialApp(
                provider="openid_connect",
                provider_id=PROVIDER_ID,
                name=settings.OIDC_NAME,
                client_id=settings.OIDC_CLIENT_ID,
                secret=settings.OIDC_CLIENT_SECRET,
                settings={"server_url": settings.OIDC_ISSUER, "oauth_pkce_enabled": True},
            )
        ]

    def is_open_for_signup(self, _request: HttpRequest, _sociallogin: SocialLogin) -> bool:
        """Return False: `sso_links` adds people instead of django-allauth."""
        return False

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Authorize the person before django-allauth signs them in, or complete a reauthentication."""
        try:
            identity = Identity.from_login(sociallogin)
            if sociallogin.state.get("process") == REAUTHENTICATE:
                _reauthenticate(request, sociallogin, identity)
                raise ImmediateHttpResponse(HttpResponseSeeOther(sociallogin.state["next"]))
            _authorize(sociallogin, identity)
        except DeployctlError as error:
            _audit_denial(request, sociallogin, error)
            raise ImmediateHttpResponse(errors.error_response(request, error)) from error

    def on_authentication_error(
        self,
        request: HttpRequest,
        provider: Any,  # noqa: ARG002 (django-allauth's signature)
        error: str | None = None,
        exception: Exception | None = None,
        extra_context: dict[str, Any] | None = None,
    ) -> None:
        """Show an error page that explains what went wrong."""
        name = settings.OIDC_NAME
        if error in {AuthError.CANCELLED, AuthError.DENIED}:
            message = f"The sign-in at {name} was cancelled. Nothing was changed."
        elif exception is None and "state_id" in (extra_context or {}):
            message = (
                f"This response from {name} wasn't requested in this browser, was used before, or came too"
                " late. Nothing was changed. Start again from the previous page."
            )
        else:
            logger.warning("single sign-on failed: %r", exception or error)
            message = provider_error_message()
        raise ImmediateHttpResponse(errors.error_response(request, Refusal(message)))


def is_configured() -> bool:
    """Return True if a provider is configured."""
    return bool(settings.OIDC_ISSUER)


def provider_error_message() -> str:
    """Return the message for a provider that is unreachable or misbehaves."""
    return (
        f"{settings.OIDC_NAME} couldn't confirm your identity: it is unreachable, or its response is invalid."
        " Nothing was changed. Try again in a minute; if it still fails, ask your administrator to check the"
        " log."
    )


def redirect_to_provider(
    request: HttpRequest, *, next_page: str, about: str = "", process: str = AuthProcess.LOGIN
) -> HttpResponseBase:
    """Redirect the browser to the provider.

    Args:
        request: the request; its session stores the state of the sign-in.
        next_page: the URL to open afterwards; it must be safe.
        about: the digest of the record to be signed, with `REAUTHENTICATE`.
        process: `AuthProcess.LOGIN` or `REAUTHENTICATE`.

    Raises:
        Refusal: no provider is configured, or it is unreachable.
    """
    if not is_configured():
        raise Refusal(NOT_CONFIGURED)
    nonce = secrets.token_urlsafe(24)
    reauthenticates = process == REAUTHENTICATE
    data = {
        "nonce": nonce,
        "about": about,
        "person": request.user.pk if reauthenticates else None,
        "asked_at": timezone.now().timestamp(),
    }
    parameters = {"nonce": nonce} | ({"prompt": "login", "max_age": "0"} if reauthenticates else {})
    provider = get_adapter(request).get_provider(request, PROVIDER_ID)
    try:
        return cast(
            "HttpResponseBase",
            provider.redirect(request, process, next_page or None, data, auth_params=parameters),
        )
    except PROVIDER_ERRORS as error:
        logger.warning("single sign-on failed: %r", error)
        raise Refusal(provider_error_message()) from error


def reauthentication_for(user: User, about: str) -> dict[str, Any] | None:
    """Return `name` and `done` for the signature page, or None for people with a password here.

    `name` is the provider's name, `done` the usable reauthentication, if there is one.
    """
    if not user.uses_single_sign_on:
        return None
    return {"name": settings.OIDC_NAME, "done": Reauthentication.objects.usable(user, about).first()}


def _authorize(login: SocialLogin, identity: Identity) -> None:
    """Set the person that django-allauth then signs in.

    Raises:
        NotAllowed: there is no such person, the account is disabled, or it is linked to another issuer.
    """
    if login.is_existing:
        sso_links.require_same_issuer(login)
    else:
        sso_links.link(login, identity)
    if not cast("User", login.user).is_active:
        raise NotAllowed("Your account here is disabled, so you aren't signed in. Contact an administrator.")


@transaction.atomic
def _reauthenticate(request: HttpRequest, login: SocialLogin, identity: Identity) -> None:
    """Store that the signed-in person has just reauthenticated at the provider.

    Raises:
        NotAllowed: somebody else signed in there, not recently, or at another issuer than the link's.
    """
    name, state = settings.OIDC_NAME, login.state["data"]
    user = cast("User", request.user)
    if not user.is_authenticated or state["person"] != user.pk:
        raise NotAllowed(
            "You are no longer signed in here as the person who started this. Nothing was changed. Sign in"
            " first."
        )
    if not login.is_existing or login.user != user:
        raise NotAllowed(
            f"Somebody other than {user.name} signed in at {name}. Nothing was changed."
            f" Sign out there, and sign in again as {user.email}."
        )
    sso_links.require_same_issuer(login)
    at, now = identity.authenticated_at, timezone.now().timestamp()
    if at is None or not state["asked_at"] - CLOCK_TOLERANCE_S <= at <= now + CLOCK_TOLERANCE_S:
        raise NotAllowed(
            f"{name} didn't ask you to sign in again, or didn't report when you did (`auth_time`). Nothing"
            " was changed. Sign out there and try again; if it still fails, contact your administrator."
        )
    Reauthentication.objects.create(
        user=user,
        provider=name[:200],
        about=state["about"],
        authenticated_at=dt.datetime.fromtimestamp(at, dt.UTC),
    )
    data = {"issuer": settings.OIDC_ISSUER, "digest": state["about"]}
    audit.append(Action.PERSON_REAUTHENTICATED, by=user, subject=user, data=data)


def _audit_denial(request: HttpRequest, login: SocialLogin, error: DeployctlError) -> None:
    address = request.META.get("REMOTE_ADDR", "unknown address")
    person = login.user if login.is_existing else None
    with transaction.atomic():
        audit.append(
            Action.SINGLE_SIGN_ON_DENIED,
            by=Machine(f"visitor from {address}"),
            subject=person,
            data={"issuer": settings.OIDC_ISSUER, "sub": login.account.uid, "reason": error.message},
        )
