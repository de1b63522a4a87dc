"""The Celery tasks for signatures."""

from __future__ import annotations

from celery import shared_task

from signoff import reminders


@shared_task(name="signoff.tasks.remind")
def remind() -> None:
    """Send reminders of pending signatures."""
    reminders.remind_all()
