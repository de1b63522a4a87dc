"""Test helpers: enroll people, generate one-time codes, and sign in to test clients."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.http import HttpRequest
from django.test import Client
from django_otp import DEVICE_ID_SESSION_KEY
from django_otp.oath import hotp

from deployctl.accounts.models import RecoveryCode, SignIn, TotpFactor, User
from deployctl.accounts.models.sign_in import SESSION_KEY, SecondFactor
from deployctl.accounts.models.totp_factor import DIGITS, TOLERANCE_STEPS


def enroll(user: User) -> TotpFactor:
    """Return the person's confirmed authenticator app; create it if there is none."""
    with transaction.atomic():
        factor = user.totp_factor
        if factor is None:
            factor = TotpFactor.objects.start(user)
            TotpFactor.objects.filter(pk=factor.pk).update(confirmed=True)
            factor.refresh_from_db()
            RecoveryCode.objects.renew(user)
    return factor


def current_code(user: User) -> str:
    """Return a code that the person's authenticator app accepts now.

    This is the code of the current time step or, if it was used, of the next one. If that was used as well,
    its use is reset, as if the test had waited.
    """
    factor = TotpFactor.objects.filter(user=user).order_by("-confirmed").first()
    if factor is None:
        factor = enroll(user)
    generator = factor.totp()
    now = generator.t()
    step = max(now, factor.last_t + 1)
    if step > now + TOLERANCE_STEPS:
        step = now
        TotpFactor.objects.filter(pk=factor.pk).update(last_t=step - 1)
    return f"{hotp(factor.key, step, DIGITS):0{DIGITS}d}"  # type: ignore[no-untyped-call]


def wrong_code(user: User) -> str:
    """Return six digits that the person's authenticator app doesn't accept; a fixed number could be right."""
    accepted = {
        hotp(factor.key, factor.totp().t() + step, DIGITS)  # type: ignore[no-untyped-call]
        for factor in TotpFactor.objects.filter(user=user)
        # The time step may end before the code is used.
        for step in range(-TOLERANCE_STEPS, TOLERANCE_STEPS + 2)
    }
    return next(f"{number:0{DIGITS}d}" for number in range(10**DIGITS) if number not in accepted)


def sign_in(client: Client, user: User, *, code: bool = True, second_factor: bool = True) -> SignIn:
    """Sign the person in to a test client.

    Args:
        client: the test client.
        user: the person.
        code: record a fresh code in the session, so that no step-up is needed.
        second_factor: enroll the person if necessary, and mark the session as verified.
    """
    client.force_login(user)
    request = HttpRequest()
    session: Any = client.session
    request.session = session
    factor = enroll(user) if second_factor else None
    started = SignIn.objects.begin(
        request, user, SecondFactor.TOTP if factor is not None and code else SecondFactor.NONE
    )
    session[SESSION_KEY] = started.pk
    if factor is not None:
        session[DEVICE_ID_SESSION_KEY] = factor.persistent_id
    session.save()
    return started
