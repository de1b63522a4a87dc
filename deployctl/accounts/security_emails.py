"""Send security e-mails about audit entries to the person whose account is affected, or to administrators."""

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
    Action.FACTOR_REMOVED: "Your second factor was removed",
    Action.FACTOR_REPLACED: "Your authenticator app was replaced",
    Action.FACTOR_REJECTED: "Repeated failed attempts with your second factor",
    Action.PASSKEY_ADDED: "A passkey was added to your account",
    Action.PASSKEY_REMOVED: "A passkey was removed from your account",
    Action.PASSWORD_CHANGED: "Your password was changed",
    Action.PASSWORD_REJECTED: "Repeated failed attempts with your password",
    Action.PERSON_LINKED: "Your account was linked to single sign-on",
    Action.PERSON_UNLINKED: "Your account was unlinked from single sign-on",
    Action.RECOVERY_CODE_USED: "One of your recovery codes was used",
    Action.SIGNATURE_REJECTED: "Repeated failed attempts to sign",
}
FAILURES_PER_EMAIL = 3
# Sent to administrators as well, because they may have to act.
TO_ADMINISTRATORS = frozenset({Action.CHAIN_VERIFIED, Action.SIGNATURE_REJECTED})
ADVICE = {
    Action.CHAIN_VERIFIED: (
        "Somebody changed the database without deployctl, or restored it from a backup. Don't change it"
        " further, find out who did it and when, and compare it with the heads in the anchor stores."
    )
}
IF_NOT_YOU = "If you didn't do this or ask for it, contact an administrator immediately."


def send_on_commit(entry: Entry) -> None:
    """Enqueue the e-mails about an entry when the transaction commits, if e-mail can be delivered.

    Args:
        entry: an entry with an action of `SUBJECTS`.
    """
    if email.can_send():
        # Robust, because an unreachable broker must not make the committed change look failed.
        transaction.on_commit(partial(_enqueue, entry.pk), robust=True)


def send_on_repeated_failure(entry: Entry) -> None:
    """Enqueue e-mails when a person failed at this three times within an hour, and after every three more."""
    an_hour_ago = entry.at - dt.timedelta(hours=1)
    failures = Entry.objects.filter(actor_id=entry.actor_id, action=entry.action, at__gt=an_hour_ago).count()
    if failures % FAILURES_PER_EMAIL == 0:
        send_on_commit(entry)


def send(entry: Entry) -> None:
    """Send the e-mails about an entry."""
    action = Action(entry.action)
    advice = ADVICE.get(action, IF_NOT_YOU)
    context = {"entry": entry, "event": SUBJECTS[action], "advice": advice}
    body = render_to_string("accounts/email/notice.txt", context)
    for address in sorted({person.email for person in _recipients(entry, action)}):
        send_mail(f"deployctl: {SUBJECTS[action]}", body, None, [address])


def _recipients(entry: Entry, action: Action) -> list[User]:
    people = get_user_model().objects
    is_person = entry.subject_type == get_user_model()._meta.label_lower
    affected = people.filter(pk=int(entry.subject_id) if is_person else entry.actor_id)
    administrators = people.with_permission(Permission.ADMINISTRATOR) if action in TO_ADMINISTRATORS else []
    return [*affected, *administrators]


def _enqueue(sequence: int) -> None:
    from deployctl.accounts.tasks import send_security_emails  # the task calls `send`

    send_security_emails.delay(sequence)
