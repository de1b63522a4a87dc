"""Alert people to wrong passwords and codes for their account: by e-mail, and at their next sign-in."""

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

# Everybody mistypes once or twice.
ALERT_THRESHOLD = 3
ALERT_WINDOW = dt.timedelta(hours=1)
# The time of the last alert, per kind of failure: an alert about the person's own mistyped codes must not
# suppress one about somebody who guesses passwords.
ALERTED_AT_FIELD = {
    Action.PASSWORD_REJECTED: "wrong_password_alerted_at",
    Action.FACTOR_REJECTED: "wrong_code_alerted_at",
}


def alert(person: User, latest: Entry) -> None:
    """Send an e-mail about a failure if it is at least the third of its kind within an hour.

    At most one e-mail per hour and kind is sent, which protects the person's mailbox from a persistent
    attacker. All times come from the audit log, and so from the database's clock.

    Args:
        person: the owner of the account.
        latest: the failure. It must be committed: this locks the person's row, which must not happen while
            the audit chain is locked.
    """
    since = latest.at - ALERT_WINDOW
    if _failures(person, since).filter(action=latest.action).count() < ALERT_THRESHOLD:
        return
    alerted_at_field = ALERTED_AT_FIELD[Action(latest.action)]
    due = Q((alerted_at_field, None)) | Q((f"{alerted_at_field}__lte", since))
    with transaction.atomic():
        # Only one of several concurrent failures updates the row.
        if get_user_model().objects.filter(due, pk=person.pk).update(**{alerted_at_field: latest.at}):
            security_emails.send_on_commit(latest)


@contextmanager
def alerting(person: User) -> Iterator[None]:
    """Call `alert` if the attempt in this context fails and the failure was counted.

    The attempt must open its own transaction.
    """
    before = _failures(person).first()
    try:
        yield
    except DeployctlError:
        latest = _failures(person).first()
        if latest is not None and latest != before:
            alert(person, latest)
        raise


def summary_since_last_sign_in(person: User) -> str:
    """Return a warning about failures since the person's last sign-in; "" if there were few."""
    last = person.sign_ins.order_by("-started_at").first()
    failures = _failures(person, last.started_at if last else person.created_at)
    count, latest = failures.count(), failures.first()
    if latest is None or count < ALERT_THRESHOLD:
        return ""
    return (
        f"Since your last sign-in, a wrong password or code was entered {count} times for your account, most"
        f" recently on {latest.at:%d %b %Y at %H:%M} UTC. If this wasn't you, change your password and"
        " contact an administrator."
    )


def _failures(person: User, since: dt.datetime | None = None) -> QuerySet[Entry]:
    failures: QuerySet[Entry] = (
        Entry.objects.about(person)
        .filter(action__in=ALERTED_AT_FIELD)
        # An expired temporary password was correct, so nobody guessed.
        .exclude(data__contains={"reason": temporary_passwords.EXPIRED})
        .order_by("-sequence")
    )
    return failures if since is None else failures.filter(at__gt=since)
