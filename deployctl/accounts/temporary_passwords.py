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
    "You signed in with a password that somebody else has seen. Choose one of your own now;"
    " that brings you back afterwards."
)
# Why, in the audit log.
EXPIRED = "temporary password expired"
MUST_DIFFER = "This is the password that you were handed. Choose another."
CANNOT_SIGN = (
    "Choose a password of your own first, under My account, Change password: somebody else has seen the one"
    " that you were handed. Nothing was changed, and the code was not used up."
)
EXPIRED_MESSAGE = (
    "This password was handed to you more than {days} days ago and lets you in no more. Nothing was changed."
    " Ask an administrator, who can give you another on your page under People, or whoever runs deployctl:"
    " `deployctl user password {email}` on the server."
)


def generate() -> str:
    """A random password, to be shown once."""
    return secrets.token_urlsafe(_BYTES)


def valid_until(*, is_temporary: bool) -> dt.datetime | None:
    """Until when a password that is set now lets in; None for one of the person's own.

    As long as an invitation, which is the other way to begin.
    """
    return timezone.now() + dt.timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT) if is_temporary else None


def expiry_message(person: User) -> str:
    """Why a person's password lets them in no more, as a sentence; "" while it does."""
    until = person.temporary_password_until
    if until is None or timezone.now() <= until:
        return ""
    days = dt.timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT).days
    return EXPIRED_MESSAGE.format(days=days, email=person.email)


def can_be_replaced(person: User) -> bool:
    """Whether an administrator may give the person another: only who never had another way in.

    Whoever has chosen a password before, or came by single sign-on, has an account that others must not take
    over. What the audit log says of that cannot be undone, unlike the link to single sign-on.
    """
    if person.temporary_password_until is None or not person.is_active:
        return False
    chose = Q(action=Action.PASSWORD_CHANGED, actor_id=person.pk)
    had_own_way = Entry.objects.about(person).filter(chose | Q(action=Action.PERSON_LINKED))
    return not had_own_way.exists()


@transaction.atomic
def replace(person: User, *, by: Actor) -> str:
    """Give a person who has not replaced the password that was handed over another such password.

    Returns:
        the new one, to show this once.

    Raises:
        Refusal: it is not for an administrator to give (`can_be_replaced`).
    """
    # The person may be choosing their own just now.
    current: User = type(person).objects.select_for_update(no_key=True).get(pk=person.pk)
    if not can_be_replaced(current):
        raise Refusal(
            f"{person.name} is disabled, or has had a password of their own or single sign-on: nobody gives"
            " them a password here. Nothing was changed. Whoever runs deployctl can, on the server:"
            f" deployctl user password {person.email}"
        )
    password = generate()
    current.change_password(password, by=by, is_temporary=True)
    return password
