"""What workers are asked to do for signatures: load, call, done."""

from __future__ import annotations

from celery import shared_task

from signoff import reminders


@shared_task(name="signoff.tasks.remind")
def remind() -> None:
    """Remind whose turn it is to sign."""
    reminders.remind_all()
