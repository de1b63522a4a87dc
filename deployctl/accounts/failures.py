"""Failed attempts to sign in as somebody, told to that person: by e-mail, and when they sign in next."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from deployctl.accounts import notices
from deployctl.audit import Action
from deployctl.audit.models import Entry
from deployctl.errors import DeployctlError

if TYPE_CHECKING:
    from deployctl.accounts.models import User

# Once or twice, everybody mistypes.
WORTH_TELLING = 3
KINDS = (Action.PASSWORD_REFUSED, Action.FACTOR_REFUSED)


def tell(person: User, latest: Entry) -> None:
    """Have a failure told by e-mail where it is the third within an hour.

    Not the ones after it: whoever guesses on would otherwise fill the person's mailbox.
    """
    if len(_within_an_hour(person)) == WORTH_TELLING:
        notices.on_commit(latest)


@contextmanager
def told(person: User) -> Iterator[None]:
    """Around an attempt that is a transaction of its own: have its failure told, if it was counted as one."""
    before = _within_an_hour(person)
    try:
        yield
    except DeployctlError:
        with transaction.atomic():
            for latest in _within_an_hour(person)[:1]:
                if latest not in before:
                    tell(person, latest)
        raise


def since_last_stay(person: User) -> str:
    """What to tell who has just signed in of the failures since they last did; "" where it is nothing."""
    last = person.sign_ins.order_by("-started_at").first()
    failed = _since(person, last.started_at if last else person.created_at)
    number, latest = failed.count(), failed.first()
    if latest is None or number < WORTH_TELLING:
        return ""
    return (
        f"Since you last signed in, a wrong password or code was given {number} times for your account, the"
        f" last time at {latest.at:%d %b %Y %H:%M} UTC. If that was not you, change your password and tell an"
        " administrator."
    )


def _within_an_hour(person: User) -> list[Entry]:
    return list(_since(person, timezone.now() - dt.timedelta(hours=1)))


def _since(person: User, since: dt.datetime) -> QuerySet[Entry]:
    """The failures since then, the latest first."""
    failed: QuerySet[Entry] = Entry.objects.about(person).filter(action__in=KINDS, at__gt=since)
    return failed.order_by("-sequence")
