"""Celery tasks of checklists."""

from __future__ import annotations

from celery import shared_task

from checklists import handlers


@shared_task(name="checklists.tasks.settle")
def settle() -> None:
    """Settle proofs that are pending although their run has ended."""
    handlers.settle_missed_proofs()
