"""Signing in at an OpenID Connect provider, and signing in there again, in place of a password, to sign.

django-allauth speaks the protocol (authorization code with PKCE); who is let in is decided here. Nobody adds
themselves, unless `OIDC_DOMAINS` says whose addresses may; second factors stay ours.
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
OFF = "Single sign-on is not set up here. Sign in with your password."
# How far the provider's clock and ours may be apart.
CLOCK_TOLERANCE_S = 60
# What a provider that is down, misconfigured or broken makes the libraries raise.
PROVIDER_ERRORS = (RequestException, OAuth2Error, PyJWTError, KeyError, ValueError)


class Adapter(DefaultSocialAccountAdapter):
    """The bridge between django-allauth's pages and our people."""

    def list_apps(
        self, _request: HttpRequest, provider: str | None = None, client_id: str | None = None
    ) -> list[SocialApp]:
        """The one provider of the settings, if there is one; what the database says is not looked at."""
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
        """Nobody adds themselves on django-allauth's way; see `links`."""
        return False

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Decide who is let in, before django-allauth goes on."""
        try:
            identity = Identity.of(sociallogin)
            if sociallogin.state.get("process") == REAUTHENTICATE:
                _reauthenticate(request, sociallogin, identity)
                raise ImmediateHttpResponse(HttpResponseSeeOther(sociallogin.state["next"]))
            _let_in(sociallogin, identity)
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
        """Say in a sentence what went wrong on the way."""
        name = settings.OIDC_NAME
        if error in {AuthError.CANCELLED, AuthError.DENIED}:
            words = f"Signing in at {name} was cancelled there. Nothing was changed. Try again when you like."
        elif exception is None and "state_id" in (extra_context or {}):
            words = (
                f"This answer of {name} was not asked for in this browser, was used before, or came too late."
                " Nothing was changed. Start again from the page that you came from."
            )
        else:
            logger.warning("single sign-on failed: %r", exception or error)
            words = unreachable()
        raise ImmediateHttpResponse(errors.error_response(request, Refusal(words)))


def is_on() -> bool:
    """Whether a provider is configured."""
    return bool(settings.OIDC_ISSUER)


def unreachable() -> str:
    """What to say when the provider does not play its part."""
    return (
        f"{settings.OIDC_NAME} could not confirm who you are: it cannot be reached, or its answer is no good."
        " Nothing was changed. Try again in a minute; if it stays so, ask your administrator, whose log has"
        " the reason."
    )


def leave_for_provider(
    request: HttpRequest, *, following: str, about: str = "", process: str = AuthProcess.LOGIN
) -> HttpResponseBase:
    """Send the browser to the provider.

    Args:
        request: of the browser, whose session will know the answer.
        following: where to go afterwards; a safe address.
        about: with `REAUTHENTICATE`, what it is for.
        process: signing in, or `REAUTHENTICATE`.

    Raises:
        Refusal: no provider is configured, or it cannot be reached.
    """
    if not is_on():
        raise Refusal(OFF)
    nonce = secrets.token_urlsafe(24)
    again = process == REAUTHENTICATE
    data = {
        "nonce": nonce,
        "about": about,
        "person": request.user.pk if again else None,
        "asked_at": timezone.now().timestamp(),
    }
    parameters = {"nonce": nonce} | ({"prompt": "login", "max_age": "0"} if again else {})
    provider = get_adapter(request).get_provider(request, PROVIDER_ID)
    try:
        return cast(
            "HttpResponseBase",
            provider.redirect(request, process, following or None, data, auth_params=parameters),
        )
    except PROVIDER_ERRORS as error:
        logger.warning("single sign-on cannot begin: %r", error)
        raise Refusal(unreachable()) from error


def reauthentication_for(user: User, about: str) -> dict[str, Any] | None:
    """What a page of signing shows of it: `name` and `done`; None for people with a password here."""
    if not user.uses_single_sign_on:
        return None
    return {"name": settings.OIDC_NAME, "done": Reauthentication.objects.good(user, about).first()}


def _let_in(login: SocialLogin, identity: Identity) -> None:
    """Put the person in place whom django-allauth then signs in.

    Raises:
        NotAllowed: there is none, they are disabled, or the number is of another issuer.
    """
    if login.is_existing:
        sso_links.require_issuer_of(login)
    else:
        sso_links.link(login, identity)
    if not cast("User", login.user).is_active:
        raise NotAllowed(
            "Your account here is disabled, so you are not signed in. Ask an administrator about it."
        )


@transaction.atomic
def _reauthenticate(request: HttpRequest, login: SocialLogin, identity: Identity) -> None:
    """Note that the person who is signed in has just proved it again at the provider.

    Raises:
        NotAllowed: it was somebody else, not just now, or at another issuer than the one of the link.
    """
    name, asked = settings.OIDC_NAME, login.state["data"]
    user = cast("User", request.user)
    if not user.is_authenticated or asked["person"] != user.pk:
        raise NotAllowed(
            "You are not signed in here as who asked for this. Nothing was changed. Sign in first."
        )
    if not login.is_existing or login.user != user:
        raise NotAllowed(
            f"Somebody else than {user.name} signed in at {name}. Nothing was changed."
            f" Sign out there, and sign in again as {user.email}."
        )
    sso_links.require_issuer_of(login)
    at, now = identity.authenticated_at, timezone.now().timestamp()
    if at is None or not asked["asked_at"] - CLOCK_TOLERANCE_S <= at <= now + CLOCK_TOLERANCE_S:
        raise NotAllowed(
            f"{name} did not ask you to sign in again, or does not say when you did (`auth_time`)."
            " Nothing was changed. Sign out there, then try again; if it stays so, tell your administrator."
        )
    Reauthentication.objects.create(
        user=user,
        provider=name[:200],
        about=asked["about"],
        authenticated_at=dt.datetime.fromtimestamp(at, dt.UTC),
    )
    data = {"issuer": settings.OIDC_ISSUER, "digest": asked["about"]}
    audit.append(Action.PERSON_REAUTHENTICATED, by=user, subject=user, data=data)


def _audit_denial(request: HttpRequest, login: SocialLogin, error: DeployctlError) -> None:
    address = request.META.get("REMOTE_ADDR", "unknown address")
    person = login.user if login.is_existing else None
    with transaction.atomic():
        audit.append(
            Action.SINGLE_SIGN_ON_DENIED,
            by=Machine(f"visitor from {address}"),
            subject=person,
            data={"issuer": settings.OIDC_ISSUER, "sub": login.account.uid, "reason": error.sentence},
        )
