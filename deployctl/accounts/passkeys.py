"""Create WebAuthn options for browsers and verify the responses of passkeys.

The ceremonies come from django-otp-webauthn. Its views are not used, because they bypass our sign-in rows,
audit log and throttling, and can't be part of the signature form.
"""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django_otp_webauthn.exceptions import OTPWebAuthnApiError
from django_otp_webauthn.helpers import WebAuthnHelper
from webauthn.helpers import (
    bytes_to_base64url,
    parse_authentication_credential_json,
    parse_client_data_json,
    parse_registration_credential_json,
)
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import UserVerificationRequirement

from deployctl import audit
from deployctl.accounts import attempts, security_emails
from deployctl.accounts.errors import WrongPasskey
from deployctl.accounts.models import Passkey, PasskeyChallenge, RecoveryCode, User
from deployctl.accounts.models.passkey import MAX_PASSKEYS
from deployctl.accounts.models.passkey_challenge import Purpose
from deployctl.accounts.models.throttle import Throttle
from deployctl.audit import Action
from deployctl.errors import DeployctlError, InvalidInput, Refusal

LOCALHOST = "localhost"
# The errors of the libraries for responses that are wrong, forged or malformed.
INVALID_RESPONSE_ERRORS = (
    WebAuthnException,
    OTPWebAuthnApiError,
    ValueError,
    TypeError,
    KeyError,
    RecursionError,
)
UNKNOWN_CHALLENGE = (
    "The passkey's response is unknown, was used before, or came too late. Nothing was accepted. Try again."
)
REJECTED = "The passkey was rejected. Use a passkey that is listed under My account."


class _Ceremony(WebAuthnHelper):
    """The ceremonies of django-otp-webauthn, with user verification required."""

    def __init__(self, origin: str, name: str = "") -> None:
        super().__init__(request=HttpRequest())
        self._origin, self._name = origin, name

    def get_allowed_origins(self) -> list[str]:
        return [self._origin]

    def get_generate_registration_options_kwargs(self, *, user: AbstractBaseUser) -> dict[str, Any]:
        options: dict[str, Any] = super().get_generate_registration_options_kwargs(user=user)
        options["authenticator_selection"].user_verification = UserVerificationRequirement.REQUIRED
        return options

    def create_credential(self, *args: Any, **kwargs: Any) -> Passkey:
        passkey: Passkey = super().create_credential(*args, **kwargs)
        passkey.name = self._name
        return passkey

    def create_attestation(self, *_args: Any, **_kwargs: Any) -> None:  # type: ignore[override]
        """Do nothing, because no attestation is requested."""


def are_available_at(request: HttpRequest) -> bool:
    """Return True if browsers allow this site's passkeys under the address of the request.

    The host must be the relying party's domain or a subdomain, with HTTPS except on localhost.
    """
    host, domain = request.get_host().partition(":")[0].lower(), settings.OTP_WEBAUTHN_RP_ID
    is_below = host == domain or host.endswith(f".{domain}")
    return is_below and (request.is_secure() or domain == LOCALHOST)


def url_for(request: HttpRequest, path: str = "") -> str:
    """Return the URL of the page at an address where passkeys are available.

    Args:
        path: the path of the page, if it isn't that of the request.
    """
    _, colon, port = request.get_host().rpartition(":")
    scheme = request.scheme if settings.OTP_WEBAUTHN_RP_ID == LOCALHOST else "https"
    return f"{scheme}://{settings.OTP_WEBAUTHN_RP_ID}{colon}{port if colon else ''}{path or request.path}"


def page_context(request: HttpRequest, path: str = "") -> dict[str, Any]:
    """Return the template variables `passkeys_available` and `passkeys_url` (where they are available).

    Args:
        path: see `url_for`.
    """
    return {"passkeys_available": are_available_at(request), "passkeys_url": url_for(request, path)}


def registration_options(request: HttpRequest, user: User) -> dict[str, Any]:
    """Return the options for `navigator.credentials.create`.

    Raises:
        Refusal: passkeys aren't available at the browser's address, or the person has the maximum number.
    """
    origin = _origin(request)
    if user.passkeys.count() >= MAX_PASSKEYS:
        raise Refusal(f"You already have {MAX_PASSKEYS} passkeys. Remove one that you don't use first.")
    options, state = _Ceremony(origin).register_begin(user=user)
    PasskeyChallenge.objects.issue(user, state["challenge"], Purpose.REGISTRATION, origin=origin)
    return dict(options)


def options(request: HttpRequest, user: User, purpose: Purpose, about: str = "") -> dict[str, Any]:
    """Return the options for `navigator.credentials.get`.

    Args:
        request: a request of the browser that will respond.
        user: the owner of the passkeys.
        purpose: the purpose of the response.
        about: the digest to be signed, for a signature (see `PasskeyChallenge`).

    Raises:
        Refusal: passkeys aren't available at the browser's address.
    """
    origin = _origin(request)
    options, state = _Ceremony(origin).authenticate_begin(user=user)
    PasskeyChallenge.objects.issue(user, state["challenge"], purpose, origin=origin, about=about)
    return dict(options)


@transaction.atomic
def register(user: User, name: str, response: str, *, keep: int | None = None) -> list[str]:
    """Add a passkey and end the person's other sessions.

    Args:
        user: the owner.
        name: the person's name for it.
        response: the result of `navigator.credentials.create`, as JSON.
        keep: the primary key of the `SignIn` to keep.

    Returns:
        Recovery codes, to be shown once, if this is the person's first second factor; else an empty list.

    Raises:
        InvalidInput: the name is taken, or the response is invalid.
    """
    name = " ".join(name.split())
    if user.passkeys.filter(name=name).exists():
        raise InvalidInput(f"You already have a passkey “{name}”. Choose another name.")
    is_first = not user.has_second_factor
    challenge = _use_challenge(user, response, Purpose.REGISTRATION)
    if challenge is None:
        raise InvalidInput(UNKNOWN_CHALLENGE)
    state = {"challenge": challenge.challenge, "require_user_verification": True}
    try:
        with transaction.atomic():
            _Ceremony(challenge.origin, name).register_complete(user, state, json.loads(response))
    except IntegrityError:
        raise InvalidInput("This passkey is already registered. Nothing was changed.") from None
    except INVALID_RESPONSE_ERRORS:
        raise InvalidInput(
            "The browser's response isn't a passkey for this site. Nothing was changed."
        ) from None
    codes = RecoveryCode.objects.renew(user) if is_first else []
    user.sign_ins.end_all("second factor changed", keep=keep)
    security_emails.send_on_commit(
        audit.append(Action.PASSKEY_ADDED, by=user, subject=user, data={"passkey": name})
    )
    return codes


def verify(user: User, response: str, purpose: Purpose, about: str = "") -> Passkey:
    """Accept the response of a passkey; each response works once.

    Args:
        user: the owner of the passkey.
        response: the result of `navigator.credentials.get`, as JSON.
        purpose: the purpose for which it was requested.
        about: the digest to be signed, for a signature.

    Raises:
        WrongPasskey: the response is invalid.
        NoSecondFactor, Throttled, RuntimeError: see `attempts.attempt`.
    """
    accepted: list[Passkey] = []
    attempts.attempt(user, lambda throttle: check(user, throttle, response, purpose, about, accepted))
    return accepted[0]


def check(
    user: User, throttle: Throttle, response: str, purpose: Purpose, about: str, accepted: list[Passkey]
) -> DeployctlError | None:
    """Accept a passkey's response, or return an error; called within `attempts.attempt`.

    Args:
        user, response, purpose, about: see `verify`.
        throttle: the row that counts the person's failures.
        accepted: the list to which the passkey is appended.
    """
    challenge = _use_challenge(user, response, purpose, about)
    if challenge is None:
        attempts.record_failure(user, throttle, "passkey", reason="unknown challenge")
        return WrongPasskey(UNKNOWN_CHALLENGE)
    state = {"challenge": challenge.challenge, "require_user_verification": True}
    try:
        # The savepoint undoes what the library has saved before it rejects a response.
        with transaction.atomic():
            passkey = _Ceremony(challenge.origin).authenticate_complete(user, state, json.loads(response))
    except INVALID_RESPONSE_ERRORS as error:
        # The library's reason, such as a counter that did not increase: the sign of a cloned key.
        attempts.record_failure(user, throttle, "passkey", reason=str(error)[:200])
        return WrongPasskey(REJECTED)
    throttle.throttle_reset()
    accepted.append(passkey)
    return None


def _use_challenge(user: User, response: str, purpose: Purpose, about: str = "") -> PasskeyChallenge | None:
    parse = (
        parse_registration_credential_json
        if purpose == Purpose.REGISTRATION
        else parse_authentication_credential_json
    )
    try:
        challenge = parse_client_data_json(parse(response).response.client_data_json).challenge
    except INVALID_RESPONSE_ERRORS:
        return None
    return PasskeyChallenge.objects.use(user, bytes_to_base64url(challenge), purpose, about=about)


def _origin(request: HttpRequest) -> str:
    if not are_available_at(request):
        raise Refusal(
            f"Passkeys of this site work only at the address {settings.OTP_WEBAUTHN_RP_ID}."
            f" Open {url_for(request)} instead."
        )
    return f"{request.scheme}://{request.get_host()}"
