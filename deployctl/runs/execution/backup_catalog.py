"""The backup catalog of a run: implements `framework.base.BackupCatalog` on our tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from deployctl import audit
from deployctl.audit.actions import Action
from deployctl.operations.backup.retention import KeptBackup, Policy
from deployctl.operations.framework.base import CopyResult, Outcome
from deployctl.runs import allowed_paths, hooks
from deployctl.runs.models import Backup, Copy, Run
from deployctl.runs.models.lease import WORKER
from deployctl.runs.models.retention import Retention, kept_backups, kept_physical_backups
from deployctl.storage.offsite import open_stores
from deployctl.storage.stores import Store


class RunBackupCatalog:
    """A `framework.base.BackupCatalog` on our tables. Every write renews the lease, and fails without it.

    Args:
        run: the claimed run.
        retry_until_reachable: retries a transaction while our database is unreachable.
    """

    def __init__(self, run: Run, retry_until_reachable: Callable[[Callable[[], Any]], Any]) -> None:
        self._run, self._retry = run, retry_until_reachable

    def policy(self) -> Policy:
        """Return the retention policy of the target."""
        return Retention.policy_of(self._run.target)

    def backups(self) -> tuple[KeptBackup, ...]:
        """Return the dumps that have not expired."""
        return kept_backups(self._run.target)

    def physical(self) -> tuple[KeptBackup, ...]:
        """Return the physical backups that have not expired."""
        return kept_physical_backups(self._run.target)

    def expired(self) -> frozenset[str]:
        """Return the names of the expired dumps."""
        rows = Backup.objects.dumps().filter(target=self._run.target, expired_at__isnull=False)
        return frozenset(rows.values_list("name", flat=True))

    def expire(self, backup: KeptBackup, reason: str) -> None:
        """Record that the files of a backup were removed."""
        self._retry(lambda: self._expire(backup, reason))

    @transaction.atomic
    def _expire(self, backup: KeptBackup, reason: str) -> None:
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

    def record_outcome(self, part: Outcome) -> None:
        """Record the outcome of a part of the run. It stays recorded even if the run fails."""
        self._retry(lambda: self._record_outcome(part))

    @transaction.atomic
    def _record_outcome(self, part: Outcome) -> None:
        self._run.renew()
        # Before the audit chain is locked, as at the end of a run: handlers lock their rows.
        hooks.run_ending.send(self._run)
        Backup.record_outcome(self._run, part.artefact, trust=part.trust, database_oid=part.database_oid)

    def stores(self) -> Mapping[str, Store]:
        """Return the stores configured in `DEPLOYCTL_OFFSITE`, opened with their credentials."""
        return open_stores(
            settings.DEPLOYCTL_OFFSITE, lambda reference: allowed_paths.resolve_reference(reference).reveal()
        )

    def copied(self, store: str) -> frozenset[str]:
        """Return the names of the backups that have a copy in a store."""
        rows = Copy.objects.filter(backup__target=self._run.target, store=store)
        return frozenset(rows.values_list("backup__name", flat=True))

    def record_copy(self, backup: KeptBackup, *, store: Store, result: CopyResult) -> None:
        """Record a copy that was just read back."""
        self._retry(lambda: self._record_copy(backup, store, result))

    @transaction.atomic
    def _record_copy(self, backup: KeptBackup, store: Store, result: CopyResult) -> None:
        self._run.renew()
        row = Backup.objects.get(target=self._run.target, name=backup.name)
        Copy.record(row, run=self._run, store=store, result=result)
