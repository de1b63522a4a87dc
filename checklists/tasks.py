"""What workers are asked to do for checklists: load, call, done."""

from __future__ import annotations

from celery import shared_task

from checklists import handlers


@shared_task(name="checklists.tasks.settle")
def settle() -> None:
    """Settle proofs whose runs ended unheard."""
    handlers.settle_left()
