"""A password that somebody else has seen: good for three days, and replaced before anything else is done.

Whoever adds people, or has the server, hands it over. It lets its person in as far as the page on which they
choose their own, which must be another. Who comes by single sign-on may put that off until something asks for
the password, such as a signature, for which it is not taken.
"""

from __future__ import annotations

import datetime as dt
import secrets
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils import timezone

if TYPE_CHECKING:
    from deployctl.accounts.models import User

_BYTES = 15  # 20 characters

REPLACE_IT = (
    "You signed in with a password that somebody else has seen. Choose one of your own now;"
    " that brings you back afterwards."
)
# Why, in the audit log.
REFUSED = "handed over too long ago"
KEPT = "This is the password that you were handed. Choose another."
PROVES_NOTHING = (
    "Choose a password of your own first, under My account, Change password: somebody else has seen the one"
    " that you were handed. Nothing was changed, and the code was not used up."
)
TOO_OLD = (
    "This password was handed to you more than {days} days ago and lets you in no more. Nothing was changed."
    " Ask an administrator for a link to set your own, or whoever has the server for another password."
)


def make() -> str:
    """A random password, to be shown once."""
    return secrets.token_urlsafe(_BYTES)


def good_until(*, handed_over: bool) -> dt.datetime | None:
    """Until when a password that is set now lets in; None for one of the person's own.

    As long as an invitation, which is the other way to begin.
    """
    return timezone.now() + dt.timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT) if handed_over else None


def too_old(person: User) -> str:
    """Why a person's password lets them in no more, as a sentence; "" while it does."""
    until = person.first_password_until
    if until is None or timezone.now() <= until:
        return ""
    return TOO_OLD.format(days=dt.timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT).days)
