"""For tests: people with second factors, without phones and without waiting."""

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
    """Give the person a confirmed second factor, if they have none."""
    with transaction.atomic():
        factor = user.factor
        if factor is None:
            factor = TotpFactor.objects.start(user)
            TotpFactor.objects.filter(pk=factor.pk).update(confirmed=True)
            factor.refresh_from_db()
            RecoveryCode.objects.renew(user)
    return factor


def current_code(user: User) -> str:
    """A code that the person's factor accepts now, though others were used within the same half minute.

    The code of this half minute or, once that is used up, of the next. When that is used up as well, the
    factor is made to forget it, which is what waiting would do.
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
    """Six digits that none of the person's factors accepts: whatever is guessed is right once in a while."""
    right = {
        hotp(factor.key, factor.totp().t() + step, DIGITS)  # type: ignore[no-untyped-call]
        for factor in TotpFactor.objects.filter(user=user)
        # The half minute may end before the code is given.
        for step in range(-TOLERANCE_STEPS, TOLERANCE_STEPS + 2)
    }
    return next(f"{number:0{DIGITS}d}" for number in range(10**DIGITS) if number not in right)


def sign_in(client: Client, user: User, *, code: bool = True, second_factor: bool = True) -> SignIn:
    """Sign the person in to a test client.

    Args:
        client: the browser.
        user: the person.
        second_factor: enroll them where they are not, and have the session verified by it.
        code: the code was given just now, so that acts that ask for a fresh one are allowed.
    """
    client.force_login(user)
    request = HttpRequest()
    session: Any = client.session
    request.session = session
    factor = enroll(user) if second_factor else None
    stay = SignIn.objects.begin(
        request, user, SecondFactor.TOTP if factor is not None and code else SecondFactor.NONE
    )
    session[SESSION_KEY] = stay.pk
    if factor is not None:
        session[DEVICE_ID_SESSION_KEY] = factor.persistent_id
    session.save()
    return stay
