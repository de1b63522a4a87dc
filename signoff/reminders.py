"""Telling people by e-mail that their signature is waited for: whose turn it is, and at most once a day."""

from __future__ import annotations

import logging
from datetime import timedelta
from smtplib import SMTPException

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import timezone

from deployctl.accounts.email import can_send
from deployctl.accounts.models import User
from deployctl.accounts.roles import Permission
from signoff.models import Reminder, Slot
from signoff.pending_signatures import sign_url, slots_waiting_for

logger = logging.getLogger(__name__)

# Looked for every hour, so a person hears of it a little earlier every few days rather than ever later.
AT_MOST_EVERY = timedelta(hours=23)


def remind_all() -> int:
    """Write to everybody whose signature is waited for now and who was not written to within a day.

    Says nothing, and writes no row, where this installation cannot send e-mail.

    Returns:
        How many people were written to.
    """
    if not can_send():
        return 0
    reminded = 0
    for person in User.objects.with_permission(Permission.APPROVER).order_by("pk"):
        try:
            reminded += _remind(person)
        except (SMTPException, OSError) as error:
            logger.warning("%s was not reminded of a signature: %s", person.email, error)
    return reminded


@transaction.atomic
def _remind(person: User) -> bool:
    """Write to one person. The rows stand only if the mail server took the e-mail."""
    # Two workers at once would both write: the second waits here, and then finds the rows of the first.
    User.objects.select_for_update(no_key=True).get(pk=person.pk)
    if Reminder.objects.filter(user=person, sent_at__gt=timezone.now() - AT_MOST_EVERY).exists():
        return False
    slots = slots_waiting_for(person)
    if not slots:
        return False
    Reminder.objects.bulk_create(Reminder(slot=slot, user=person, email=person.email) for slot in slots)
    _send(person, slots)
    return True


def _send(person: User, slots: list[Slot]) -> None:
    lines = [(slot, f"{settings.DEPLOYCTL_URL}{sign_url(slot)}") for slot in slots]
    context = {"person": person, "lines": lines, "has_address": bool(settings.DEPLOYCTL_URL)}
    first = slots[0].gate.deployment
    more = f" and {len(slots) - 1} more" if len(slots) > 1 else ""
    send_mail(
        subject=f"Your signature is waited for: {first.title}{more}",
        message=render_to_string("signoff/email/reminder.txt", context),
        from_email=None,
        recipient_list=[person.email],
    )
