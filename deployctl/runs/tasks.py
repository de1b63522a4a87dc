"""The Celery tasks. Arguments are ids."""

from __future__ import annotations

from celery import shared_task

from deployctl.runs import uploads
from deployctl.runs.execution import backup_expiry, dispatcher, reaper, supervisor
from deployctl.runs.queue import EXECUTE


@shared_task(name=EXECUTE)
def execute(run_id: int) -> None:
    """Execute a queued run, unless another worker does."""
    supervisor.execute(run_id)


@shared_task(name="deployctl.runs.tasks.dispatch")
def dispatch() -> None:
    """Send the tasks of queued runs again."""
    dispatcher.dispatch()


@shared_task(name="deployctl.runs.tasks.lapse")
def lapse() -> None:
    """Cancel runs that waited too long for consent."""
    dispatcher.lapse()


@shared_task(name="deployctl.runs.tasks.reap")
def reap() -> None:
    """Clean up after lost workers."""
    reaper.reap()


@shared_task(name="deployctl.runs.tasks.expire")
def expire() -> None:
    """Request the expiry of backups, and remove abandoned uploads."""
    backup_expiry.request_due()
    uploads.remove_abandoned()
