"""Attempts with passwords and codes: each counted, whatever happens to the act that asked for it.

Every function here is a transaction of its own (`durable=True`: Django refuses to nest it). A failure is thus
counted, audited and told, and a code used up, even where the caller's own transaction rolls back afterwards.
So the order for a caller is: attempt first, then open the transaction of the act.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import django_otp
from django.db import transaction
from django.utils import timezone

from deployctl import audit
from deployctl.accounts import failed_login_alerts, security_emails, temporary_passwords
from deployctl.accounts.errors import NoFactor, TemporaryPassword, Throttled, WrongCode, WrongPassword
from deployctl.accounts.models.recovery_code import RecoveryCode
from deployctl.accounts.models.throttle import Throttle
from deployctl.accounts.models.totp_factor import TotpFactor
from deployctl.audit import Action
from deployctl.errors import DeployctlError

if TYPE_CHECKING:
    from deployctl.accounts.models.passkey import Passkey
    from deployctl.accounts.models.user import User
    from deployctl.audit.models import Entry

# Looks at what was given, under the lock of the factor on which the person's failures are counted.
Check = Callable[[Throttle], DeployctlError | None]


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
    attempt(user, lambda guard: check_code(user, guard, code))


def verify_password_and_code(user: User, password: str, code: str) -> None:
    """Accept password and one-time code together; a wrong password counts like a wrong code and uses none up.

    Raises:
        WrongPassword: the password is wrong; the code was not looked at.
        TemporaryPassword: the person has yet to replace it; neither was looked at.
        NoFactor, Throttled, WrongCode, RuntimeError: as in `verify_code`.
    """

    def check(guard: Throttle) -> DeployctlError | None:
        return check_password(user, guard, password) or check_code(user, guard, code)

    attempt(user, check)


def use_recovery_code(user: User, code: str) -> int:
    """Accept a recovery code, once ever; for signing in only.

    Returns:
        how many are left.

    Raises:
        NoFactor, Throttled, WrongCode, RuntimeError: as in `verify_code`.
    """

    def check(guard: Throttle) -> DeployctlError | None:
        if RecoveryCode.objects.use(user, code):
            left = user.recovery_codes.unused().count()
            security_emails.send_on_commit(_append(Action.RECOVERY_CODE_USED, user, left=left))
            return None
        note_failure(user, guard, "recovery code")
        return WrongCode("This is not one of your unused recovery codes. Check for mistyped letters.")

    attempt(user, check)
    return user.recovery_codes.unused().count()


def enroll(user: User, code: str, *, password: str | None = None, keep: int | None = None) -> list[str]:
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
        WrongPassword, TemporaryPassword, Throttled, WrongCode, RuntimeError: as in
            `verify_password_and_code`.
    """
    codes: list[str] = []

    def check(guard: Throttle) -> DeployctlError | None:
        error = check_password(user, guard, password) if password is not None else None
        error = error or check_code(user, guard, code)
        if error is None:
            codes.extend(_put_in_force(user, guard, keep))
        return error

    attempt(user, check, enrolling=True)
    return codes


def attempt(user: User, check: Check, *, enrolling: bool = False) -> None:
    """Run one check, and commit what it noted before telling the caller; the person hears of many failures.

    All attempts of a person wait for each other and count on one row, whichever factor is tried: the
    authenticator app where there is one, else the oldest passkey.

    Args:
        user: who tries.
        check: what to look at; it notes failures (`note_failure`) and returns what to tell the person.
        enrolling: the factor that is being enrolled is tried, not the one in force.

    Raises:
        NoFactor: there is none.
        Throttled: earlier failures; the check was not run.
        RuntimeError: called within a transaction (see the module).
    """
    with failed_login_alerts.alerting(user):
        attempt_without_alert(user, check, enrolling=enrolling)


def attempt_without_alert(user: User, check: Check, *, enrolling: bool = False) -> None:
    """Run `attempt` without e-mail about failures; a signature sends its own."""
    with transaction.atomic(durable=True):
        guard = _guard(user, enrolling=enrolling)
        if guard is None:
            raise NoFactor("You have no second factor yet. Set one up under My account first.")
        _refuse_while_throttled(guard)
        error = check(guard)
    if error is not None:
        raise error


def check_password(user: User, guard: Throttle, password: str) -> DeployctlError | None:
    """Within `attempt`: whether a password is the person's, and theirs alone."""
    # Who came by single sign-on has not been made to replace it.
    if user.temporary_password_until is not None:
        return TemporaryPassword(temporary_passwords.CANNOT_SIGN)
    if user.check_password(password):
        return None
    guard.throttle_increment()
    _append(Action.PASSWORD_REJECTED, user, failures=guard.throttling_failure_count)
    return WrongPassword("The password is wrong. The code was not used up.")


def check_code(user: User, guard: Throttle, code: str) -> DeployctlError | None:
    """Within `attempt`: use a one-time code up, if it is one."""
    if not isinstance(guard, TotpFactor):
        return WrongCode("You have no authenticator app here. Use your passkey.")
    used_before = guard.was_used(code)
    if django_otp.verify_token(user, guard.persistent_id, code):  # type: ignore[no-untyped-call]
        return None
    guard.refresh_from_db()
    reason = "code used before" if used_before else "wrong code"
    _append(Action.FACTOR_REJECTED, user, what=reason, failures=guard.throttling_failure_count)
    if used_before:
        return WrongCode("This code was used already. Wait for the next one in your authenticator app.")
    return WrongCode(
        "The code is wrong. Type the six digits that your authenticator app shows now;"
        " if they keep failing, check the phone's clock."
    )


def note_failure(user: User, guard: Throttle, what: str, **data: Any) -> None:
    """Within `attempt`: count a failure, and write it down."""
    guard.throttle_increment()
    _append(Action.FACTOR_REJECTED, user, what=what, failures=guard.throttling_failure_count, **data)


def _guard(user: User, *, enrolling: bool) -> TotpFactor | Passkey | None:
    app = TotpFactor.objects.select_for_update().filter(user=user, confirmed=not enrolling).first()
    if app is not None or enrolling:
        return app
    passkey: Passkey | None = user.passkeys.select_for_update().order_by("pk").first()
    return passkey


def _put_in_force(user: User, factor: Throttle, keep: int | None) -> list[str]:
    replaced, _ = TotpFactor.objects.filter(user=user, confirmed=True).delete()
    # The row was made when the page was first looked at, perhaps long ago; it counts from now on.
    TotpFactor.objects.filter(pk=factor.pk).update(confirmed=True, created_at=timezone.now())
    codes = RecoveryCode.objects.renew(user)
    user.sign_ins.end_all("second factor changed", keep=keep)
    security_emails.send_on_commit(
        _append(Action.FACTOR_REPLACED if replaced else Action.FACTOR_ENROLLED, user)
    )
    return codes


def _refuse_while_throttled(guard: Throttle) -> None:
    allowed, details = guard.verify_is_allowed()  # type: ignore[no-untyped-call]
    if not allowed:
        until = details["locked_until"]
        seconds = max(1, round((until - timezone.now()).total_seconds()))
        raise Throttled(
            f"Too many wrong attempts. Wait {seconds} s, then try again; this attempt was not looked at.",
            until=until,
        )


def _append(action: Action, user: User, **data: Any) -> Entry:
    return audit.append(action, by=user, subject=user, data=data)
