"""Verify a signer's identity with two components for every signature (21 CFR 11.200(a)(1))."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django_otp.models import Device

from deployctl.accounts import attempts, passkeys
from deployctl.accounts.errors import ReauthenticationRequired
from deployctl.accounts.models import Passkey, Reauthentication, TotpFactor, User
from deployctl.accounts.models.passkey_challenge import Purpose
from deployctl.accounts.models.sign_in import SecondFactor
from deployctl.accounts.models.throttle import Throttle
from deployctl.errors import DeployctlError


@dataclass(frozen=True)
class SigningCredentials:
    """The credentials that a signer enters.

    Attributes:
        password: ignored for people with single sign-on, who reauthenticate instead.
        code: a one-time code; "" with a passkey.
        passkey: the response of a passkey as JSON; "" with a code.
    """

    password: str = ""
    code: str = ""
    passkey: str = ""


@dataclass(frozen=True)
class VerifiedCredentials:
    """The verified credentials of a signer.

    Attributes:
        method: both components, such as “password and passkey”.
        factor_since: when the second factor was set up.
    """

    method: str
    factor_since: dt.datetime | None


def verify_second_factor(user: User, *, code: str = "", passkey: str = "", purpose: Purpose) -> Device:
    """Accept a one-time code or a passkey as a second factor.

    Args:
        user: the owner.
        code: a one-time code; ignored if there is a passkey.
        passkey: the passkey's response, as JSON.
        purpose: the purpose for which the passkey was requested.

    Returns:
        The second factor that was used.

    Raises:
        WrongPasskey, WrongCode, NoSecondFactor, Throttled, RuntimeError: see `attempts`.
    """
    if passkey:
        return passkeys.verify(user, passkey, purpose)
    attempts.verify_code(user, code)
    factor: TotpFactor = TotpFactor.objects.get(user=user, confirmed=True)
    return factor


def second_factor_type(factor: Device) -> SecondFactor:
    """Return the type of a second factor, as stored with sign-ins."""
    return SecondFactor.PASSKEY if isinstance(factor, Passkey) else SecondFactor.TOTP


def verify(user: User, credentials: SigningCredentials, *, about: str) -> VerifiedCredentials:
    """Accept both components together; neither counts without the other.

    Args:
        user: the signer.
        credentials: what the signer entered.
        about: the digest of the record; the passkey or reauthentication must have been requested for it.

    Raises:
        ReauthenticationRequired: the person has no password here and has not reauthenticated for this digest.
        WrongPassword, MustChangePassword, WrongPasskey, WrongCode, NoSecondFactor, Throttled, RuntimeError:
            see `attempts`.
    """
    by_provider = user.uses_single_sign_on
    used: list[Passkey] = []

    def check(throttle: Throttle) -> DeployctlError | None:
        if not by_provider and (error := attempts.check_password(user, throttle, credentials.password)):
            return error
        if by_provider and not Reauthentication.objects.usable(user, about).exists():
            return ReauthenticationRequired(
                "Sign in again at your single sign-on provider for this signature first. Nothing was signed,"
                " and you can still use this code."
            )
        if credentials.passkey:
            error = passkeys.check(user, throttle, credentials.passkey, Purpose.SIGNATURE, about, used)
        else:
            error = attempts.check_code(user, throttle, credentials.code)
        if error is None and by_provider:
            Reauthentication.objects.use(user, about)
        return error

    attempts.attempt_without_alert(user, check)
    factor = used[0] if used else user.totp_factor
    assert factor is not None  # noqa: S101 (a code was accepted just now)
    first = "single sign-on" if by_provider else "password"
    second = "passkey" if used else "one-time code"
    return VerifiedCredentials(f"{first} and {second}", factor.created_at)
