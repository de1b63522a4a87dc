"""Attempts with passwords and codes: each counted, whatever happens to the act that asked for it.

Every function here is a transaction of its own (`durable=True`: Django refuses to nest it). A failure is thus
counted and audited, and a code used up, even where the caller's own transaction rolls back afterwards. So the
order for a caller is: attempt first, then open the transaction of the act.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import django_otp
from django.db import transaction
from django.utils import timezone

from deployctl import audit
from deployctl.accounts.errors import NoFactor, Throttled, WrongCode, WrongPassword
from deployctl.accounts.models.recovery_code import RecoveryCode
from deployctl.accounts.models.totp_factor import TotpFactor
from deployctl.audit import Action
from deployctl.errors import DeployctlError

if TYPE_CHECKING:
    from deployctl.accounts.models.user import User

_Check = Callable[[TotpFactor], DeployctlError | None]


def verify_code(user: User, code: str) -> None:
    """Accept a one-time code, once ever, under any number of concurrent requests; never a recovery code.

    Args:
        user: whose code it should be.
        code: six digits, with or without spaces.

    Raises:
        NoFactor: the person has enrolled none.
        Throttled: earlier failures; this attempt was not looked at.
        WrongCode: it is wrong, or was used before.
        RuntimeError: called within a transaction (see the module).
    """
    _attempt(user, lambda factor: _check_code(user, factor, code))


def verify_password_and_code(user: User, password: str, code: str) -> None:
    """Accept password and one-time code together; a wrong password counts like a wrong code and uses none up.

    Raises:
        WrongPassword: the password is wrong; the code was not looked at.
        NoFactor, Throttled, WrongCode, RuntimeError: as in `verify_code`.
    """

    def check(factor: TotpFactor) -> DeployctlError | None:
        if not user.check_password(password):
            return _refuse_password(user, factor)
        return _check_code(user, factor, code)

    _attempt(user, check)


def use_recovery_code(user: User, code: str) -> int:
    """Accept a recovery code, once ever; for signing in only.

    Returns:
        how many are left.

    Raises:
        NoFactor, Throttled, WrongCode, RuntimeError: as in `verify_code`.
    """

    def check(factor: TotpFactor) -> DeployctlError | None:
        if RecoveryCode.objects.use(user, code):
            _append(Action.RECOVERY_CODE_USED, user, left=user.recovery_codes.unused().count())
            return None
        factor.throttle_increment()
        _append(Action.FACTOR_REFUSED, user, what="recovery code", failures=factor.throttling_failure_count)
        return WrongCode("This is not one of your unused recovery codes. Check for mistyped letters.")

    _attempt(user, check)
    return user.recovery_codes.unused().count()


def enrol(user: User, code: str, *, password: str | None = None, keep: int | None = None) -> list[str]:
    """Confirm the factor that the person is enrolling: from now on it counts, and an earlier one does not.

    Args:
        user: whose factor it is.
        code: what the authenticator app shows for the new key.
        password: checked first unless None.
        keep: the `SignIn` of the session that stays; all others end.

    Returns:
        new recovery codes, to show this once.

    Raises:
        NoFactor: none is being enrolled.
        WrongPassword, Throttled, WrongCode, RuntimeError: as in `verify_password_and_code`.
    """
    codes: list[str] = []

    def check(factor: TotpFactor) -> DeployctlError | None:
        if password is not None and not user.check_password(password):
            return _refuse_password(user, factor)
        error = _check_code(user, factor, code)
        if error is None:
            codes.extend(_put_in_force(user, factor, keep))
        return error

    _attempt(user, check, confirmed=False)
    return codes


def _put_in_force(user: User, factor: TotpFactor, keep: int | None) -> list[str]:
    replaced, _ = TotpFactor.objects.filter(user=user, confirmed=True).delete()
    TotpFactor.objects.filter(pk=factor.pk).update(confirmed=True)
    codes = RecoveryCode.objects.renew(user)
    user.sign_ins.end_all("second factor changed", keep=keep)
    _append(Action.FACTOR_REPLACED if replaced else Action.FACTOR_ENROLLED, user)
    return codes


def _attempt(user: User, check: _Check, *, confirmed: bool = True) -> None:
    """Run one check under the factor's lock, and commit what it noted before telling the caller."""
    with transaction.atomic(durable=True):
        factor = TotpFactor.objects.select_for_update().filter(user=user, confirmed=confirmed).first()
        if factor is None:
            raise NoFactor("You have no second factor yet. Set one up under My account first.")
        _refuse_while_throttled(factor)
        error = check(factor)
    if error is not None:
        raise error


def _refuse_while_throttled(factor: TotpFactor) -> None:
    allowed, details = factor.verify_is_allowed()  # type: ignore[no-untyped-call]
    if not allowed:
        until = details["locked_until"]
        seconds = max(1, round((until - timezone.now()).total_seconds()))
        raise Throttled(
            f"Too many wrong attempts. Wait {seconds} s, then try again; this attempt was not looked at.",
            until=until,
        )


def _check_code(user: User, factor: TotpFactor, code: str) -> DeployctlError | None:
    used_before = factor.was_used(code)
    if django_otp.verify_token(user, factor.persistent_id, code):  # type: ignore[no-untyped-call]
        return None
    factor.refresh_from_db()
    reason = "code used before" if used_before else "wrong code"
    _append(Action.FACTOR_REFUSED, user, what=reason, failures=factor.throttling_failure_count)
    if used_before:
        return WrongCode("This code was used already. Wait for the next one in your authenticator app.")
    return WrongCode(
        "The code is wrong. Type the six digits that your authenticator app shows now;"
        " if they keep failing, check the phone's clock."
    )


def _refuse_password(user: User, factor: TotpFactor) -> WrongPassword:
    factor.throttle_increment()
    _append(Action.PASSWORD_REFUSED, user, failures=factor.throttling_failure_count)
    return WrongPassword("The password is wrong. The code was not used up.")


def _append(action: Action, user: User, **data: Any) -> None:
    audit.append(action, by=user, subject=user, data=data)
