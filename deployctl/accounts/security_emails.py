"""E-mail about an audit entry to the person whose account it touches, who may not be the one who did it.

Of a broken audit chain, administrators are told.
"""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import TYPE_CHECKING

from django.contrib.auth import get_user_model
from django.core.mail import send_mail
from django.db import transaction
from django.template.loader import render_to_string

from deployctl.accounts import email
from deployctl.accounts.roles import Permission
from deployctl.audit import Action
from deployctl.audit.models import Entry

if TYPE_CHECKING:
    from deployctl.accounts.models.user import User

SUBJECTS = {
    Action.CHAIN_VERIFIED: "The audit chain is broken",
    Action.FACTOR_ENROLLED: "Your authenticator app was set up",
    Action.FACTOR_REMOVED: "Your second factor was taken away",
    Action.FACTOR_REPLACED: "Your authenticator app was replaced",
    Action.FACTOR_REJECTED: "Repeated failures with your second factor",
    Action.PASSKEY_ADDED: "A passkey was added to your account",
    Action.PASSKEY_REMOVED: "A passkey was removed from your account",
    Action.PASSWORD_CHANGED: "Your password was changed",
    Action.PASSWORD_REJECTED: "Repeated failures with your password",
    Action.PERSON_LINKED: "Your account was linked to single sign-on",
    Action.PERSON_UNLINKED: "Your account's link to single sign-on was forgotten",
    Action.RECOVERY_CODE_USED: "A recovery code of yours was used",
    Action.SIGNATURE_REJECTED: "Repeated failures at a signature",
}
FAILURES_PER_NOTICE = 3
# What others may want to act on as well.
TO_ADMINISTRATORS = frozenset({Action.CHAIN_VERIFIED, Action.SIGNATURE_REJECTED})
# What to do about it.
ADVICE = {
    Action.CHAIN_VERIFIED: (
        "Somebody altered the database past deployctl, or it was restored from a backup. Keep it as it is,"
        " find out who and when, and compare with the heads kept elsewhere."
    )
}
IF_NOT_YOU = "If this was not you, or you did not ask for it, tell an administrator at once."


def send_on_commit(entry: Entry) -> None:
    """Have it told once the transaction stands, by a worker; nothing where e-mail reaches nobody.

    Args:
        entry: with an action of `SUBJECTS`.
    """
    if email.can_send():
        # Robust: what was done stays done, whether or not the broker takes the message.
        transaction.on_commit(partial(_enqueue, entry.pk), robust=True)


def send_on_repeated_failure(entry: Entry) -> None:
    """Have it told when a person failed at this three times within an hour, and every three times after."""
    an_hour_ago = entry.at - dt.timedelta(hours=1)
    failures = Entry.objects.filter(actor_id=entry.actor_id, action=entry.action, at__gt=an_hour_ago).count()
    if failures % FAILURES_PER_NOTICE == 0:
        send_on_commit(entry)


def send(entry: Entry) -> None:
    """Send the e-mails about an entry."""
    action = Action(entry.action)
    advice = ADVICE.get(action, IF_NOT_YOU)
    context = {"entry": entry, "what": SUBJECTS[action], "advice": advice}
    body = render_to_string("accounts/email/notice.txt", context)
    for address in sorted({person.email for person in _recipients(entry, action)}):
        send_mail(f"deployctl: {SUBJECTS[action]}", body, None, [address])


def _recipients(entry: Entry, action: Action) -> list[User]:
    people = get_user_model().objects
    is_person = entry.subject_type == get_user_model()._meta.label_lower
    touched = people.filter(pk=int(entry.subject_id) if is_person else entry.actor_id)
    administrators = people.holding(Permission.ADMINISTRATOR) if action in TO_ADMINISTRATORS else []
    return [*touched, *administrators]


def _enqueue(sequence: int) -> None:
    from deployctl.accounts.tasks import send_security_emails  # the task calls `send`

    send_security_emails.delay(sequence)
