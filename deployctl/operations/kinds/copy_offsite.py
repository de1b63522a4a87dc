"""Copy a backup to the offsite stores, and read the copies back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from deployctl.operations.backup import backup_selection
from deployctl.operations.backup.integrity_check import added_bytes_progress, check_backup
from deployctl.operations.backup.manifest import Manifest
from deployctl.operations.backup.offsite_copy import OffsiteCopy
from deployctl.operations.backup.retention import KeptBackup
from deployctl.operations.framework.base import Job, Json, Operation, OperationFailed, Outcome, param
from deployctl.storage.stores import Store


class CopyOffsite(Operation):
    """Copy a backup to the offsite stores of the installation."""

    kind: ClassVar[str] = "copy_offsite"
    title: ClassVar[str] = "Copy offsite"
    help: ClassVar[str] = (
        "Checks a backup against its manifest, copies it to the offsite stores, and reads every byte of the "
        "copy back before it is recorded."
    )
    changes_target: ClassVar[bool] = False
    # It never touches the target, and may take hours; a backup that expires meanwhile makes it fail.
    exclusive: ClassVar[bool] = False
    time_limit_s: ClassVar[int] = 24 * 3600

    @dataclass(frozen=True)
    class Params:
        backup: str = param("", label="Backup", help="Its name; empty for the newest one.", maximum=200)
        store: str = param("", label="Store", help="Its name; empty for every store.", maximum=200)
        again: bool = param(
            False, label="Again", help="Copy although a copy of it in that store was read back already."
        )

    def perform(self, job: Job) -> Outcome:
        with job.step("Look at stores and backups"):
            stores, backup = _stores(job), backup_selection.newest(job, job.params.backup)
            wanted = [
                name
                for name in stores
                if job.params.again or backup.name not in job.backup_catalog.copied(name)
            ]
            for name in stores.keys() - set(wanted):
                job.log(f"A copy of {backup.name} in {name} was read back before; it is not copied again.")
        if not wanted:
            return Outcome(f"{backup.name} was copied before; nothing was to do.", {"backup": backup.name})
        with job.step("Check the backup"):
            folder, found = check_backup(job, backup, phase="check")
        digests: dict[str, Json] = {}
        for name in wanted:
            digests[name] = _copy(job, stores[name], backup, folder, found)
        return Outcome(
            f"{backup.name} was copied to {', '.join(digests)}, and every byte read back.",
            {"backup": backup.name, "copies": digests, "size_bytes": found.size_bytes},
        )


def _copy(job: Job, store: Store, backup: KeptBackup, folder: Path, found: Manifest) -> str:
    with job.step(f"Copy to {store.name}"):
        job.log(f"{store.address}, {'encrypted' if store.recipient else 'not encrypted'}.")
        copying = OffsiteCopy(store, folder, f"{job.target.name}/{backup.name}", expected=found)
        copying.write(added_bytes_progress(job, found.size_bytes, "copy"))
    with job.step(f"Read back from {store.name}"):
        result = copying.read_back(added_bytes_progress(job, found.size_bytes, "read back"))
        job.backup_catalog.record_copy(backup, store=store, result=result)
        job.log(f"{result.size_bytes:,} bytes were read back and are as they were written.")
    return result.digest


def _stores(job: Job) -> dict[str, Store]:
    stores = dict(job.backup_catalog.stores())
    if not stores:
        raise OperationFailed(
            "No offsite store is configured, so nothing was copied. Set DEPLOYCTL_OFFSITE for worker and web "
            "server, such as s3://bucket/prefix or file:///mnt/offsite."
        )
    if not job.params.store:
        return stores
    if job.params.store not in stores:
        raise OperationFailed(
            f"There is no offsite store {job.params.store}. There are: {', '.join(stores)}."
        )
    return {job.params.store: stores[job.params.store]}
