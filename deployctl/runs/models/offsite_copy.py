"""An offsite copy of a backup."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.db import models
from django.db.models.functions import Now

from deployctl import audit
from deployctl.audit.actions import Action
from deployctl.runs.models.backup import Backup
from deployctl.runs.models.lease import WORKER
from deployctl.runs.models.run import Run

if TYPE_CHECKING:
    from deployctl.operations.framework.base import CopyResult
    from deployctl.storage.stores import Store


class Copy(models.Model):
    """A copy that was read back completely. A later copy to the same store is another row."""

    backup = models.ForeignKey(Backup, on_delete=models.PROTECT, related_name="copies")
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="+")
    store = models.CharField(max_length=200)
    # The address of the store at that time, without credentials, and the key in the store.
    address = models.CharField(max_length=500)
    key = models.CharField(max_length=500)
    # The public key that it is encrypted to, "" if it is not encrypted.
    recipient = models.CharField(max_length=1000, blank=True)
    # The SHA-256 of `copy.sha256`, which lists every object with its digest.
    digest = models.CharField(max_length=64)
    size_bytes = models.BigIntegerField()
    written_at = models.DateTimeField()
    read_back_at = models.DateTimeField(db_default=Now())

    objects: ClassVar[models.Manager[Copy]] = models.Manager()

    class Meta:
        ordering = ["-read_back_at"]

    def __str__(self) -> str:
        return f"{self.backup} in {self.store}"

    @classmethod
    def record(cls, backup: Backup, *, run: Run, store: Store, result: CopyResult) -> Copy:
        """Record a copy that was just read back, in the caller's transaction."""
        copy = cls.objects.create(
            backup=backup,
            run=run,
            store=store.name,
            address=store.address,
            key=result.key,
            recipient=store.recipient,
            digest=result.digest,
            size_bytes=result.size_bytes,
            written_at=result.written_at,
        )
        audit.append(
            Action.BACKUP_COPIED,
            by=WORKER,
            subject=backup,
            deployment_id=run.deployment_id,
            data={"store": store.name, "address": store.address, "digest": result.digest, "run": run.pk},
        )
        return copy
