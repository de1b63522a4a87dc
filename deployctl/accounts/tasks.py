"""Celery tasks of accounts; arguments are IDs."""

from __future__ import annotations

from celery import shared_task

from deployctl.accounts import security_emails
from deployctl.audit.models import Entry


@shared_task(name="deployctl.accounts.tasks.send_security_emails")
def send_security_emails(sequence: int) -> None:
    """Send the e-mails about an audit entry."""
    security_emails.send(Entry.objects.get(pk=sequence))
