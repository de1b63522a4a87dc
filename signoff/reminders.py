"""Remind people of pending signatures by e-mail, at most once a day."""

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
from signoff.pending_signatures import sign_url, signable_slots

logger = logging.getLogger(__name__)

# Less than a day, because the hourly task would otherwise send each reminder an hour later than the last.
MIN_INTERVAL = timedelta(hours=23)


def remind_all() -> int:
    """Send a reminder to every person with a pending signature who got none within a day.

    Does nothing if this installation cannot send e-mail.

    Returns:
        The number of people reminded.
    """
    if not can_send():
        return 0
    reminded = 0
    for person in User.objects.with_permission(Permission.APPROVER).order_by("pk"):
        try:
            reminded += _remind(person)
        except (SMTPException, OSError) as error:
            logger.warning("Could not remind %s of a pending signature: %s", person.email, error)
    return reminded


@transaction.atomic
def _remind(person: User) -> bool:
    """Remind one person. The rows are kept only if the mail server accepted the e-mail."""
    # A second worker waits here, and then finds the rows of the first.
    User.objects.select_for_update(no_key=True).get(pk=person.pk)
    if Reminder.objects.filter(user=person, sent_at__gt=timezone.now() - MIN_INTERVAL).exists():
        return False
    slots = signable_slots(person)
    if not slots:
        return False
    Reminder.objects.bulk_create(Reminder(slot=slot, user=person, email=person.email) for slot in slots)
    _send(person, slots)
    return True


def _send(person: User, slots: list[Slot]) -> None:
    lines = [(slot, f"{settings.DEPLOYCTL_URL}{sign_url(slot)}") for slot in slots]
    context = {"person": person, "lines": lines, "has_url": bool(settings.DEPLOYCTL_URL)}
    first = slots[0].gate.deployment
    more = f" and {len(slots) - 1} more" if len(slots) > 1 else ""
    send_mail(
        subject=f"Signature needed: {first.title}{more}",
        message=render_to_string("signoff/email/reminder.txt", context),
        from_email=None,
        recipient_list=[person.email],
    )
