"""The Celery tasks of runs. Arguments are ids."""

from __future__ import annotations

from celery import shared_task

from deployctl.runs import uploads
from deployctl.runs.execution import backup_expiry, dispatcher, reaper, supervisor
from deployctl.runs.queue import EXECUTE


@shared_task(name=EXECUTE)
def execute(run_id: int) -> None:
    """Execute a queued run, unless another worker has claimed it."""
    supervisor.execute(run_id)


@shared_task(name="deployctl.runs.tasks.dispatch")
def dispatch() -> None:
    """Send the tasks of queued runs again."""
    dispatcher.dispatch()


@shared_task(name="deployctl.runs.tasks.expire_consents")
def expire_consents() -> None:
    """Cancel the runs to which nobody consented in time."""
    dispatcher.expire_consents()


@shared_task(name="deployctl.runs.tasks.reap")
def reap() -> None:
    """Clean up after lost workers."""
    reaper.reap()


@shared_task(name="deployctl.runs.tasks.expire_backups")
def expire_backups() -> None:
    """Request runs that expire backups, and remove abandoned uploads."""
    backup_expiry.request_due()
    uploads.remove_abandoned()
