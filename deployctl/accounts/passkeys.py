"""Passkeys (WebAuthn): what a browser is asked to have signed, and whether its answer counts.

The ceremonies are those of django-otp-webauthn. Its views are not used: they sign people in past our sign-in
rows, audit and throttling, and cannot put an answer into the form of a signature.
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
from deployctl.accounts.models.passkey import MOST_PASSKEYS
from deployctl.accounts.models.passkey_challenge import Purpose
from deployctl.accounts.models.throttle import Throttle
from deployctl.audit import Action
from deployctl.errors import DeployctlError, InvalidInput, Refusal

LOCALHOST = "localhost"
# What the libraries raise for answers that are wrong, forged, or no answers at all.
UNUSABLE = (WebAuthnException, OTPWebAuthnApiError, ValueError, TypeError, KeyError, RecursionError)
NOT_ASKED = (
    "The passkey's answer was not asked for here, was used before, or came too late. Nothing was accepted."
    " Press the button again."
)
WRONG = "The passkey was not accepted. Use one that is listed under My account, and press the button again."


class _Ceremony(WebAuthnHelper):
    """django-otp-webauthn's ceremonies, with the person verified by the passkey each time."""

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
        """Nothing: no attestation is asked for, so there is none worth keeping."""


def are_possible_at(request: HttpRequest) -> bool:
    """Whether a browser lets passkeys of this site be used under the address that it is at.

    That takes the domain they are kept for, or one below it, and HTTPS except on the machine itself.
    """
    host, domain = request.get_host().partition(":")[0].lower(), settings.OTP_WEBAUTHN_RP_ID
    is_below = host == domain or host.endswith(f".{domain}")
    return is_below and (request.is_secure() or domain == LOCALHOST)


def address_for(request: HttpRequest, path: str = "") -> str:
    """The same page under an address at which passkeys are possible.

    Args:
        path: of the page, where the request is not for it, but for what a form on it is sent to.
    """
    _, colon, port = request.get_host().rpartition(":")
    scheme = request.scheme if settings.OTP_WEBAUTHN_RP_ID == LOCALHOST else "https"
    return f"{scheme}://{settings.OTP_WEBAUTHN_RP_ID}{colon}{port if colon else ''}{path or request.path}"


def for_page(request: HttpRequest, path: str = "") -> dict[str, Any]:
    """What a page needs to know: `passkeys_possible`, and `passkeys_at`, the address where they would be.

    Args:
        path: see `address_for`.
    """
    return {"passkeys_possible": are_possible_at(request), "passkeys_at": address_for(request, path)}


def registration_options(request: HttpRequest, user: User) -> dict[str, Any]:
    """What `navigator.credentials.create` is called with.

    Raises:
        Refusal: the browser is at an address without passkeys, or the person has very many.
    """
    origin = _origin(request)
    if user.passkeys.count() >= MOST_PASSKEYS:
        raise Refusal(f"You have {MOST_PASSKEYS} passkeys. Remove one that you do not use first.")
    options, state = _Ceremony(origin).register_begin(user=user)
    PasskeyChallenge.objects.issue(user, state["challenge"], Purpose.REGISTRATION, origin=origin)
    return dict(options)


def options(request: HttpRequest, user: User, purpose: Purpose, about: str = "") -> dict[str, Any]:
    """What `navigator.credentials.get` is called with.

    Args:
        request: of the browser that will answer.
        user: whose passkeys may answer.
        purpose: what the answer is for.
        about: further what it is for (see `PasskeyChallenge`).

    Raises:
        Refusal: the browser is at an address without passkeys.
    """
    origin = _origin(request)
    options, state = _Ceremony(origin).authenticate_begin(user=user)
    PasskeyChallenge.objects.issue(user, state["challenge"], purpose, origin=origin, about=about)
    return dict(options)


@transaction.atomic
def register(user: User, name: str, answer: str, *, keep: int | None = None) -> list[str]:
    """Add a passkey; the person's other sessions end.

    Args:
        user: whose it is.
        name: the person's word for it.
        answer: of `navigator.credentials.create`, as JSON.
        keep: the `SignIn` of the session that stays.

    Returns:
        recovery codes to show this once, where this is the first second factor; else none.

    Raises:
        InvalidInput: the name is taken, or the answer is no good.
    """
    name = " ".join(name.split())
    if user.passkeys.filter(name=name).exists():
        raise InvalidInput(f"You have a passkey “{name}” already. Give this one another name.")
    is_first = not user.has_factor
    asked = _use_challenge(user, answer, Purpose.REGISTRATION)
    if asked is None:
        raise InvalidInput(NOT_ASKED)
    state = {"challenge": asked.challenge, "require_user_verification": True}
    try:
        with transaction.atomic():
            _Ceremony(asked.origin, name).register_complete(user, state, json.loads(answer))
    except IntegrityError:
        raise InvalidInput("This passkey is registered already. Nothing was changed.") from None
    except UNUSABLE:
        raise InvalidInput("The browser's answer is no passkey of this site. Nothing was changed.") from None
    codes = RecoveryCode.objects.renew(user) if is_first else []
    user.sign_ins.end_all("second factor changed", keep=keep)
    security_emails.send_on_commit(
        audit.append(Action.PASSKEY_ADDED, by=user, subject=user, data={"passkey": name})
    )
    return codes


def verify(user: User, answer: str, purpose: Purpose, about: str = "") -> Passkey:
    """Accept the answer of a passkey, once ever.

    Args:
        user: whose passkey it should be.
        answer: of `navigator.credentials.get`, as JSON.
        purpose: what it was asked for.
        about: further what it was asked for.

    Raises:
        WrongPasskey: it is no good.
        NoFactor, Throttled, RuntimeError: see `attempts.attempt`.
    """
    accepted: list[Passkey] = []
    attempts.attempt(user, lambda guard: check(user, guard, answer, purpose, about, accepted))
    return accepted[0]


def check(
    user: User, guard: Throttle, answer: str, purpose: Purpose, about: str, accepted: list[Passkey]
) -> DeployctlError | None:
    """Within `attempts.attempt`: use a passkey's answer up, if it is one.

    Args:
        user, answer, purpose, about: see `verify`.
        guard: where the person's failures are counted.
        accepted: the passkey that answered is put here.
    """
    asked = _use_challenge(user, answer, purpose, about)
    if asked is None:
        attempts.note_failure(user, guard, "passkey", reason="no such challenge is open")
        return WrongPasskey(NOT_ASKED)
    state = {"challenge": asked.challenge, "require_user_verification": True}
    try:
        # Its own savepoint: what the library saved of an answer that is refused in the end is undone.
        with transaction.atomic():
            passkey = _Ceremony(asked.origin).authenticate_complete(user, state, json.loads(answer))
    except UNUSABLE as error:
        # The library's words, such as a counter that did not grow: the mark of a copied key.
        attempts.note_failure(user, guard, "passkey", reason=str(error)[:200])
        return WrongPasskey(WRONG)
    guard.throttle_reset()
    accepted.append(passkey)
    return None


def _use_challenge(user: User, answer: str, purpose: Purpose, about: str = "") -> PasskeyChallenge | None:
    parse = (
        parse_registration_credential_json
        if purpose == Purpose.REGISTRATION
        else parse_authentication_credential_json
    )
    try:
        challenge = parse_client_data_json(parse(answer).response.client_data_json).challenge
    except UNUSABLE:
        return None
    return PasskeyChallenge.objects.use(user, bytes_to_base64url(challenge), purpose, about=about)


def _origin(request: HttpRequest) -> str:
    if not are_possible_at(request):
        raise Refusal(
            f"Browsers keep passkeys for the address {settings.OTP_WEBAUTHN_RP_ID} and not for this one."
            f" Open {address_for(request)} instead."
        )
    return f"{request.scheme}://{request.get_host()}"
