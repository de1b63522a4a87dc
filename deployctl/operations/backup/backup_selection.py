"""Select the backup that an operation works on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from deployctl.operations.backup.retention import KeptBackup, Trust
from deployctl.operations.framework.base import Job, OperationFailed


def newest(job: Job, name: str) -> KeptBackup:
    """Return the backup with this name, or the newest one made here if the name is empty.

    Raises:
        OperationFailed: there is no such backup.
    """
    return _find(job, name) if name else max(_made_here(job), key=lambda backup: backup.snapshot_at)


def most_trusted(job: Job, name: str) -> KeptBackup:
    """Return the backup with this name, or the newest of the most trusted ones made here if it is empty.

    Raises:
        OperationFailed: there is no such backup.
    """
    return _find(job, name) if name else max(_made_here(job), key=trust_order)


def made_here(backups: Iterable[KeptBackup]) -> list[KeptBackup]:
    """Return the backups made here. An imported backup is used only by name."""
    return [backup for backup in backups if backup.uploaded_at is None]


def trust_order(backup: KeptBackup) -> tuple[int, dt.datetime]:
    """Return a sort key by trust level, then by age; the newest most trusted backup sorts last."""
    return tuple(Trust).index(Trust(backup.trust)), backup.snapshot_at


def _all(job: Job) -> tuple[KeptBackup, ...]:
    found = job.backup_catalog.backups()
    if not found:
        raise OperationFailed(f"{job.target.name} has no backup. Nothing was changed. Back up first.")
    return found


def _made_here(job: Job) -> list[KeptBackup]:
    found = made_here(_all(job))
    if not found:
        raise OperationFailed(
            f"{job.target.name} has only uploaded backups. Nothing was changed. Name the one to use."
        )
    return found


def _find(job: Job, name: str) -> KeptBackup:
    if any(backup.name == name for backup in job.backup_catalog.physical()):
        raise OperationFailed(
            f"{name} is a physical backup, which this operation can't use. Nothing was changed. Use “Verify "
            "physical backups” or “Test physical restore”; to copy it, configure repo2 in pgBackRest."
        )
    for backup in _all(job):
        if backup.name == name:
            return backup
    raise OperationFailed(
        f"{job.target.name} has no backup {name}. Nothing was changed. Choose one from the list of backups."
    )
