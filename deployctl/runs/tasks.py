"""What workers are asked to do: load, call, done. Arguments are ids."""

from __future__ import annotations

from celery import shared_task

from deployctl.runs import uploads
from deployctl.runs.execution import dispatcher, reaper, retention, supervisor
from deployctl.runs.publishing import EXECUTE


@shared_task(name=EXECUTE)
def execute(run_id: int) -> None:
    """Execute a queued run, if nobody else does."""
    supervisor.execute(run_id)


@shared_task(name="deployctl.runs.tasks.dispatch")
def dispatch() -> None:
    """Tell workers about queued runs that nobody took."""
    dispatcher.dispatch()


@shared_task(name="deployctl.runs.tasks.lapse")
def lapse() -> None:
    """Give up runs to which nobody consented in time."""
    dispatcher.lapse()


@shared_task(name="deployctl.runs.tasks.reap")
def reap() -> None:
    """Clean up after workers that were lost."""
    reaper.reap()


@shared_task(name="deployctl.runs.tasks.expire")
def expire() -> None:
    """Request the removal of backups that are not kept any longer; remove uploads that were given up."""
    retention.request_due()
    uploads.remove_given_up()
