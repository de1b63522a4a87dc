"""The record of backups as a run's operation sees it: `operations.shelf.Shelf` over our own tables."""

from __future__ import annotations

from django.db import transaction
from django.db.models.functions import Now

from deployctl import audit
from deployctl.audit.actions import Action
from deployctl.operations.retention import KeptBackup, Policy
from deployctl.runs.models import Backup, Run
from deployctl.runs.models.lease import WORKER
from deployctl.runs.models.retention import Retention, kept_backups


class RunShelf:
    """Implements `operations.shelf.Shelf`. Every write renews the lease first, so it fails without one.

    Args:
        run: claimed.
    """

    def __init__(self, run: Run) -> None:
        self._run = run

    def policy(self) -> Policy:
        """How long backups of the target are kept."""
        return Retention.policy_of(self._run.target)

    def backups(self) -> tuple[KeptBackup, ...]:
        """The backups that were not expired."""
        return kept_backups(self._run.target)

    def expired(self) -> frozenset[str]:
        """The names of those that were."""
        rows = Backup.objects.filter(target=self._run.target, expired_at__isnull=False)
        return frozenset(rows.values_list("name", flat=True))

    @transaction.atomic
    def expire(self, backup: KeptBackup, reason: str) -> None:
        """Record that a backup's files are removed."""
        self._run.renew()
        row = Backup.objects.select_for_update().get(target=self._run.target, name=backup.name)
        Backup.objects.filter(pk=row.pk).update(expired_at=Now())
        audit.append(
            Action.BACKUP_EXPIRED,
            by=WORKER,
            subject=row,
            deployment_id=self._run.deployment_id,
            data={"reason": reason, "run": self._run.pk, "size_bytes": row.size_bytes},
        )
