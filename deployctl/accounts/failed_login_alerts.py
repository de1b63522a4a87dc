"""Wrong passwords and codes, told to whose they should have been: by e-mail, and when they sign in next."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Q, QuerySet

from deployctl.accounts import security_emails, temporary_passwords
from deployctl.audit import Action
from deployctl.audit.models import Entry
from deployctl.errors import DeployctlError

if TYPE_CHECKING:
    from deployctl.accounts.models.user import User

# Once or twice, everybody mistypes.
ALERT_THRESHOLD = 3
WITHIN = dt.timedelta(hours=1)
# Where the person's row keeps when each was last told. Each on its own: who has just been told of their own
# mistyped codes would not be of somebody who guesses passwords.
ALERTED_AT_FIELD = {
    Action.PASSWORD_REJECTED: "wrong_password_alerted_at",
    Action.FACTOR_REJECTED: "wrong_code_alerted_at",
}


def alert(person: User, latest: Entry) -> None:
    """Have a failure told by e-mail where it is at least the third of its kind within an hour.

    Once an hour at most: whoever guesses on would otherwise fill the person's mailbox. All times are those
    of the audit log, which are the database's.

    Args:
        person: for whom the wrong password or code was given.
        latest: the failure, committed: what locks the person's row must not hold the audit chain.
    """
    since = latest.at - WITHIN
    if _failed(person, since).filter(action=latest.action).count() < ALERT_THRESHOLD:
        return
    alerted_at_field = ALERTED_AT_FIELD[Action(latest.action)]
    due = Q((alerted_at_field, None)) | Q((f"{alerted_at_field}__lte", since))
    with transaction.atomic():
        # Of failures at the same time, one finds it due.
        if get_user_model().objects.filter(due, pk=person.pk).update(**{alerted_at_field: latest.at}):
            security_emails.send_on_commit(latest)


@contextmanager
def alerting(person: User) -> Iterator[None]:
    """Around an attempt that is a transaction of its own: have its failure told, if it was counted as one."""
    before = _failed(person).first()
    try:
        yield
    except DeployctlError:
        latest = _failed(person).first()
        if latest is not None and latest != before:
            alert(person, latest)
        raise


def summary_since_last_sign_in(person: User) -> str:
    """What to tell who has just signed in of the failures since they last did; "" where it is nothing."""
    last = person.sign_ins.order_by("-started_at").first()
    failed = _failed(person, last.started_at if last else person.created_at)
    number, latest = failed.count(), failed.first()
    if latest is None or number < ALERT_THRESHOLD:
        return ""
    return (
        f"Since you last signed in, a wrong password or code was given {number} times for your account, the"
        f" last time at {latest.at:%d %b %Y %H:%M} UTC. If that was not you, change your password and tell an"
        " administrator."
    )


def _failed(person: User, since: dt.datetime | None = None) -> QuerySet[Entry]:
    """The failures since then, or ever, the latest first."""
    failed: QuerySet[Entry] = (
        Entry.objects.about(person)
        .filter(action__in=ALERTED_AT_FIELD)
        # Right, and given too late: nobody guessed.
        .exclude(data__contains={"reason": temporary_passwords.EXPIRED})
        .order_by("-sequence")
    )
    return failed if since is None else failed.filter(at__gt=since)
