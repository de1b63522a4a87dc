"""Select the backup that an operation works on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from deployctl.operations.backup.retention import KeptBackup, Trust
from deployctl.operations.framework.base import Job, OperationFailed


def newest(job: Job, name: str) -> KeptBackup:
    """Return the backup of a name; if the name is empty, the newest one made here.

    Raises:
        OperationFailed: there is none.
    """
    return _find(job, name) if name else max(_made_here(job), key=lambda backup: backup.snapshot_at)


def most_trusted(job: Job, name: str) -> KeptBackup:
    """Return the backup of a name; if it is empty, the newest of the most trusted ones made here.

    Raises:
        OperationFailed: there is none.
    """
    return _find(job, name) if name else max(_made_here(job), key=trust_order)


def made_here(backups: Iterable[KeptBackup]) -> list[KeptBackup]:
    """Return the backups made here; an imported backup is used only if it is named."""
    return [backup for backup in backups if backup.uploaded_at is None]


def trust_order(backup: KeptBackup) -> tuple[int, dt.datetime]:
    """Return a sort key by trust level, then by age; the best backup sorts last."""
    return tuple(Trust).index(Trust(backup.trust)), backup.snapshot_at


def _all(job: Job) -> tuple[KeptBackup, ...]:
    found = job.backup_catalog.backups()
    if not found:
        raise OperationFailed(f"There is no backup of {job.target.name} yet. Back up first.")
    return found


def _made_here(job: Job) -> list[KeptBackup]:
    found = made_here(_all(job))
    if not found:
        raise OperationFailed(
            f"There is no backup of {job.target.name} yet but uploaded ones. Say which of them by its name."
        )
    return found


def _find(job: Job, name: str) -> KeptBackup:
    if any(backup.name == name for backup in job.backup_catalog.physical()):
        raise OperationFailed(
            f"{name} is a physical backup, which pgBackRest keeps. Nothing was done. Use “Verify physical "
            "backups” or “Test a physical restore”; to copy it, give pgBackRest a repo2."
        )
    for backup in _all(job):
        if backup.name == name:
            return backup
    raise OperationFailed(
        f"{job.target.name} has no backup {name} (any more). Nothing was done. "
        "The list of backups shows which there are."
    )
