"""Verify passwords and codes, and count failures even if the caller's transaction rolls back.

Every function opens its own transaction (`durable=True`, which Django refuses to nest). Failures are
therefore always counted and audited, and used codes stay used. Callers verify first, then open their own
transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import django_otp
from django.db import transaction
from django.utils import timezone

from deployctl import audit
from deployctl.accounts import failed_login_alerts, security_emails, temporary_passwords
from deployctl.accounts.errors import MustChangePassword, NoSecondFactor, Throttled, WrongCode, WrongPassword
from deployctl.accounts.models.recovery_code import RecoveryCode
from deployctl.accounts.models.throttle import Throttle
from deployctl.accounts.models.totp_factor import TotpFactor
from deployctl.audit import Action
from deployctl.errors import DeployctlError

if TYPE_CHECKING:
    from deployctl.accounts.models.passkey import Passkey
    from deployctl.accounts.models.user import User
    from deployctl.audit.models import Entry

# Verifies input while the row that counts the person's failures is locked.
Check = Callable[[Throttle], DeployctlError | None]


def verify_code(user: User, code: str) -> None:
    """Accept a one-time code; each code works once, even under concurrent requests.

    Args:
        user: the owner of the code.
        code: six digits, with or without spaces; not a recovery code.

    Raises:
        NoSecondFactor: the person has none.
        Throttled: the person must wait after earlier failures; the code was not checked.
        WrongCode: the code is wrong, or was used before.
        RuntimeError: called within a transaction (see the module).
    """
    attempt(user, lambda throttle: check_code(user, throttle, code))


def verify_password_and_code(user: User, password: str, code: str) -> None:
    """Accept a password and a one-time code together; a wrong password counts as a failure and uses no code.

    Raises:
        WrongPassword: the password is wrong; the code was not checked.
        MustChangePassword: the password is temporary; neither was checked.
        NoSecondFactor, Throttled, WrongCode, RuntimeError: as in `verify_code`.
    """

    def check(throttle: Throttle) -> DeployctlError | None:
        return check_password(user, throttle, password) or check_code(user, throttle, code)

    attempt(user, check)


def use_recovery_code(user: User, code: str) -> int:
    """Accept a recovery code for signing in; each code works once.

    Returns:
        The number of unused codes left.

    Raises:
        NoSecondFactor, Throttled, WrongCode, RuntimeError: as in `verify_code`.
    """

    def check(throttle: Throttle) -> DeployctlError | None:
        if RecoveryCode.objects.use(user, code):
            left = user.recovery_codes.unused().count()
            security_emails.send_on_commit(_audit(Action.RECOVERY_CODE_USED, user, left=left))
            return None
        record_failure(user, throttle, "recovery code")
        return WrongCode("This isn't one of your unused recovery codes. Check for typing errors.")

    attempt(user, check)
    return user.recovery_codes.unused().count()


def enroll(user: User, code: str, *, password: str | None = None, keep: int | None = None) -> list[str]:
    """Activate the person's new authenticator app, replacing an earlier one.

    Args:
        user: the owner of the app.
        code: the code that the app shows for the new key.
        password: checked first unless None.
        keep: the primary key of the `SignIn` to keep; the person's other sessions end.

    Returns:
        New recovery codes, to be shown once.

    Raises:
        NoSecondFactor: the person has not started to enroll an app.
        WrongPassword, MustChangePassword, Throttled, WrongCode, RuntimeError: as in
            `verify_password_and_code`.
    """
    codes: list[str] = []

    def check(throttle: Throttle) -> DeployctlError | None:
        error = check_password(user, throttle, password) if password is not None else None
        error = error or check_code(user, throttle, code)
        if error is None:
            codes.extend(_activate(user, throttle, keep))
        return error

    attempt(user, check, enrolling=True)
    return codes


def attempt(user: User, check: Check, *, enrolling: bool = False) -> None:
    """Run a check, commit the failure that it recorded, then raise its error; alert the person if necessary.

    A person's attempts run one after another and are counted in one row for all second factors: that of the
    authenticator app, or else of the oldest passkey.

    Args:
        user: the person who makes the attempt.
        check: records failures (`record_failure`) and returns the error, or None.
        enrolling: check the authenticator app that is being enrolled instead of the active one.

    Raises:
        NoSecondFactor: the person has none.
        Throttled: the person must wait after earlier failures; the check did not run.
        RuntimeError: called within a transaction (see the module).
    """
    with failed_login_alerts.alerting(user):
        attempt_without_alert(user, check, enrolling=enrolling)


def attempt_without_alert(user: User, check: Check, *, enrolling: bool = False) -> None:
    """Run `attempt` without e-mail about failures; signing sends its own."""
    with transaction.atomic(durable=True):
        throttle = _lock_throttle(user, enrolling=enrolling)
        if throttle is None:
            raise NoSecondFactor("You don't have a second factor yet. Set one up under My account first.")
        _raise_if_throttled(throttle)
        error = check(throttle)
    if error is not None:
        raise error


def check_password(user: User, throttle: Throttle, password: str) -> DeployctlError | None:
    """Return an error unless the password is the person's own; called within `attempt`."""
    # People who use single sign-on can still have a temporary password.
    if user.temporary_password_until is not None:
        return MustChangePassword(temporary_passwords.CANNOT_SIGN)
    if user.check_password(password):
        return None
    throttle.throttle_increment()
    _audit(Action.PASSWORD_REJECTED, user, failures=throttle.throttling_failure_count)
    return WrongPassword("The password is wrong. You can still use this code.")


def check_code(user: User, throttle: Throttle, code: str) -> DeployctlError | None:
    """Use a one-time code, or return an error; called within `attempt`."""
    if not isinstance(throttle, TotpFactor):
        return WrongCode("You don't have an authenticator app here. Use your passkey.")
    used_before = throttle.was_used(code)
    if django_otp.verify_token(user, throttle.persistent_id, code):  # type: ignore[no-untyped-call]
        return None
    throttle.refresh_from_db()
    reason = "code used before" if used_before else "wrong code"
    _audit(Action.FACTOR_REJECTED, user, what=reason, failures=throttle.throttling_failure_count)
    if used_before:
        return WrongCode("This code was used already. Wait for the next one in your authenticator app.")
    return WrongCode(
        "The code is wrong. Enter the six digits that your authenticator app shows now;"
        " if they keep failing, check your phone's clock."
    )


def record_failure(user: User, throttle: Throttle, what: str, **data: Any) -> None:
    """Count and audit a failure; called within `attempt`."""
    throttle.throttle_increment()
    _audit(Action.FACTOR_REJECTED, user, what=what, failures=throttle.throttling_failure_count, **data)


def _lock_throttle(user: User, *, enrolling: bool) -> TotpFactor | Passkey | None:
    app = TotpFactor.objects.select_for_update().filter(user=user, confirmed=not enrolling).first()
    if app is not None or enrolling:
        return app
    passkey: Passkey | None = user.passkeys.select_for_update().order_by("pk").first()
    return passkey


def _activate(user: User, factor: Throttle, keep: int | None) -> list[str]:
    replaced, _ = TotpFactor.objects.filter(user=user, confirmed=True).delete()
    # The row was created when the page was first opened, perhaps long ago; its age counts from now.
    TotpFactor.objects.filter(pk=factor.pk).update(confirmed=True, created_at=timezone.now())
    codes = RecoveryCode.objects.renew(user)
    user.sign_ins.end_all("second factor changed", keep=keep)
    security_emails.send_on_commit(
        _audit(Action.FACTOR_REPLACED if replaced else Action.FACTOR_ENROLLED, user)
    )
    return codes


def _raise_if_throttled(throttle: Throttle) -> None:
    allowed, details = throttle.verify_is_allowed()  # type: ignore[no-untyped-call]
    if not allowed:
        until = details["locked_until"]
        seconds = max(1, round((until - timezone.now()).total_seconds()))
        raise Throttled(
            f"Too many failed attempts. Wait {seconds} s, then try again; this attempt wasn't checked.",
            until=until,
        )


def _audit(action: Action, user: User, **data: Any) -> Entry:
    return audit.append(action, by=user, subject=user, data=data)
