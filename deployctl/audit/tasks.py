"""Celery tasks of the audit log."""

from __future__ import annotations

from celery import shared_task

from deployctl.audit import anchor_stores
from deployctl.audit.actors import Machine
from deployctl.audit.models import SignedHead, Verification

SCHEDULE = Machine("scheduler")


@shared_task(name="deployctl.audit.tasks.sign_head")
def sign_head() -> None:
    """Sign the head and write it to the anchor stores, if any are configured."""
    head = SignedHead.objects.sign()
    if anchor_stores.configured():
        anchor_stores.export(head)


@shared_task(name="deployctl.audit.tasks.verify_chain")
def verify_chain() -> None:
    """Verify the whole chain and store the result."""
    Verification.objects.perform(by=SCHEDULE)
