"""Temporary passwords: set by somebody else, valid for three days, and replaced at the first sign-in.

An administrator or the command line generates one. With it, a person can only open the page that replaces it.
People who use single sign-on can postpone that until they need the password for a signature.
"""

from __future__ import annotations

import datetime as dt
import secrets
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from deployctl.audit import Action, Actor
from deployctl.audit.models import Entry
from deployctl.errors import Refusal

if TYPE_CHECKING:
    from deployctl.accounts.models import User

_BYTES = 15  # 20 characters

REPLACE_IT = (
    "You signed in with a temporary password. Choose your own password now; then you return to this page."
)
# The reason in the audit log.
EXPIRED = "temporary password expired"
MUST_DIFFER = "This is your temporary password. Choose a different one."
CANNOT_SIGN = (
    "You can't sign with a temporary password. Choose your own password under My account, Change password,"
    " then sign; you can still use this code."
)
EXPIRED_MESSAGE = (
    "This temporary password expired after {days} days, so you aren't signed in. Ask an administrator for a"
    " new one (on your page under People), or run `deployctl user password {email}` on the server."
)


def generate() -> str:
    """Return a random password, to be shown once."""
    return secrets.token_urlsafe(_BYTES)


def valid_until(*, is_temporary: bool) -> dt.datetime | None:
    """Return when a password that is set now expires, or None if it isn't temporary.

    It is valid as long as an invitation.
    """
    return timezone.now() + dt.timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT) if is_temporary else None


def expiry_message(person: User) -> str:
    """Return the error message for an expired temporary password, or ""."""
    until = person.temporary_password_until
    if until is None or timezone.now() <= until:
        return ""
    days = dt.timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT).days
    return EXPIRED_MESSAGE.format(days=days, email=person.email)


def can_be_replaced(person: User) -> bool:
    """Return True if an administrator can set a new temporary password for the person.

    Nobody must be able to take over an account whose owner has chosen a password or used single sign-on. The
    audit log shows this reliably, because its entries can't be removed, unlike a link to single sign-on.
    """
    if person.temporary_password_until is None or not person.is_active:
        return False
    chose_password = Q(action=Action.PASSWORD_CHANGED, actor_id=person.pk)
    used_by_owner = Entry.objects.about(person).filter(chose_password | Q(action=Action.PERSON_LINKED))
    return not used_by_owner.exists()


@transaction.atomic
def replace(person: User, *, by: Actor) -> str:
    """Set a new temporary password for a person who hasn't replaced the last one.

    Returns:
        The new password, to be shown once.

    Raises:
        Refusal: an administrator can't set the person's password (`can_be_replaced`).
    """
    # Locked, because the person could be choosing a password at the same time.
    current: User = type(person).objects.select_for_update(no_key=True).get(pk=person.pk)
    if not can_be_replaced(current):
        raise Refusal(
            f"{person.name} is disabled, or has already chosen a password or used single sign-on, so you"
            " can't set a temporary password. Nothing was changed. On the server, run:"
            f" deployctl user password {person.email}"
        )
    password = generate()
    current.change_password(password, by=by, is_temporary=True)
    return password
