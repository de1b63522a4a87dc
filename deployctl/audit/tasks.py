"""What workers are asked to do for the audit chain: load, call, done."""

from __future__ import annotations

from celery import shared_task

from deployctl.audit import anchor_stores
from deployctl.audit.actors import Machine
from deployctl.audit.models import SignedHead, Verification

SCHEDULE = Machine("scheduler")


@shared_task(name="deployctl.audit.tasks.sign_head")
def sign_head() -> None:
    """Sign the head and write it to the places outside the database, where there are any."""
    head = SignedHead.objects.sign()
    if anchor_stores.configured():
        anchor_stores.export(head)


@shared_task(name="deployctl.audit.tasks.verify_chain")
def verify_chain() -> None:
    """Read the whole chain back, and keep the result."""
    Verification.objects.perform(by=SCHEDULE)
