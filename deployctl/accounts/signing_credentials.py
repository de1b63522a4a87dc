"""Proving who one is for a signature: two components, each time (21 CFR 11.200(a)(1))."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django_otp.models import Device

from deployctl.accounts import attempts, passkeys
from deployctl.accounts.errors import NotSignedInAgain
from deployctl.accounts.models import Passkey, Reauthentication, TotpFactor, User
from deployctl.accounts.models.passkey_challenge import Purpose
from deployctl.accounts.models.sign_in import SecondFactor
from deployctl.accounts.models.throttle import Throttle
from deployctl.errors import DeployctlError


@dataclass(frozen=True)
class SigningCredentials:
    """What a person gives.

    Attributes:
        password: theirs; not looked at for people who sign in elsewhere, who have done so again instead.
        code: a one-time code, or
        passkey: the answer of a passkey, as JSON.
    """

    password: str = ""
    code: str = ""
    passkey: str = ""


@dataclass(frozen=True)
class VerifiedCredentials:
    """How it was proven.

    Attributes:
        method: both components in words.
        factor_since: when the second factor was set up.
    """

    method: str
    factor_since: dt.datetime | None


def verify_factor(user: User, *, code: str = "", passkey: str = "", purpose: Purpose) -> Device:
    """Accept a one-time code or the answer of a passkey, as a second factor by itself.

    Args:
        user: who gives it.
        code: a one-time code, where no passkey answers.
        passkey: the answer, as JSON.
        purpose: what the passkey was asked for.

    Returns:
        the factor that was used.

    Raises:
        WrongPasskey, WrongCode, NoFactor, Throttled, RuntimeError: see `attempts`.
    """
    if passkey:
        return passkeys.verify(user, passkey, purpose)
    attempts.verify_code(user, code)
    factor: TotpFactor = TotpFactor.objects.get(user=user, confirmed=True)
    return factor


def second_factor_of(factor: Device) -> SecondFactor:
    """What kind of second factor it is, as sign-ins note it."""
    return SecondFactor.PASSKEY if isinstance(factor, Passkey) else SecondFactor.TOTP


def verify(user: User, credentials: SigningCredentials, *, about: str) -> VerifiedCredentials:
    """Accept both components together; neither counts without the other.

    Args:
        user: who signs.
        proof: what they give.
        about: the digest of what they sign; passkey and second sign-in must have been asked for exactly it.

    Raises:
        NotSignedInAgain: the person has no password here and has not signed in again for this.
        WrongPassword, TemporaryPassword, WrongPasskey, WrongCode, NoFactor, Throttled, RuntimeError:
            see `attempts`.
    """
    elsewhere = user.uses_single_sign_on
    used: list[Passkey] = []

    def check(guard: Throttle) -> DeployctlError | None:
        if not elsewhere and (error := attempts.check_password(user, guard, credentials.password)):
            return error
        if elsewhere and not Reauthentication.objects.good(user, about).exists():
            return NotSignedInAgain(
                "Sign in again at your single sign-on provider first, for exactly this. Nothing was signed,"
                " and no code was used up."
            )
        if credentials.passkey:
            error = passkeys.check(user, guard, credentials.passkey, Purpose.SIGNATURE, about, used)
        else:
            error = attempts.check_code(user, guard, credentials.code)
        if error is None and elsewhere:
            Reauthentication.objects.use(user, about)
        return error

    attempts.attempt_without_alert(user, check)
    factor = used[0] if used else user.factor
    assert factor is not None  # noqa: S101 (a code was accepted just now)
    first = "single sign-on" if elsewhere else "password"
    second = "passkey" if used else "one-time code"
    return VerifiedCredentials(f"{first} and {second}", factor.created_at)
