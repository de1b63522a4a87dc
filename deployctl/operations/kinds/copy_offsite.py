"""Copy a backup to offsite stores."""

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
    """Copy a backup to the installation's offsite stores, and read the copies back."""

    kind: ClassVar[str] = "copy_offsite"
    title: ClassVar[str] = "Copy backup offsite"
    help: ClassVar[str] = (
        "Checks a backup against its manifest, copies it to the offsite stores, and reads every copy back "
        "before recording it."
    )
    changes_target: ClassVar[bool] = False
    # It takes hours and does not touch the target; if the backup expires meanwhile, the run fails.
    exclusive: ClassVar[bool] = False
    time_limit_s: ClassVar[int] = 24 * 3600

    @dataclass(frozen=True)
    class Params:
        backup: str = param("", label="Backup", help="The backup's name; empty for the newest.", maximum=200)
        store: str = param("", label="Store", help="The store's name; empty for all stores.", maximum=200)
        again: bool = param(
            False, label="Copy again", help="Copy the backup even if the store already has a verified copy."
        )

    def perform(self, job: Job) -> Outcome:
        with job.step("Choose backup and stores"):
            stores, backup = _stores(job), backup_selection.newest(job, job.params.backup)
            destinations = [
                name
                for name in stores
                if job.params.again or backup.name not in job.backup_catalog.copied(name)
            ]
            for name in stores.keys() - set(destinations):
                job.log(f"{name} already has a verified copy of {backup.name}; skipped.")
        if not destinations:
            return Outcome(
                f"Nothing to copy: every store has a verified copy of {backup.name}.", {"backup": backup.name}
            )
        with job.step("Check the backup"):
            folder, found = check_backup(job, backup, phase="check")
        digests: dict[str, Json] = {}
        for name in destinations:
            digests[name] = _copy(job, stores[name], backup, folder, found)
        return Outcome(
            f"Copied {backup.name} to {', '.join(digests)} and read every copy back.",
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
        job.log(f"Read {result.size_bytes:,} bytes back without a difference.")
    return result.digest


def _stores(job: Job) -> dict[str, Store]:
    stores = dict(job.backup_catalog.stores())
    if not stores:
        raise OperationFailed(
            "Nothing was copied: no offsite store is configured. Set DEPLOYCTL_OFFSITE for worker and web "
            "server, for example to s3://bucket/prefix or file:///mnt/offsite."
        )
    if not job.params.store:
        return stores
    if job.params.store not in stores:
        raise OperationFailed(
            f"Nothing was copied: there is no offsite store {job.params.store}. Stores: {', '.join(stores)}."
        )
    return {job.params.store: stores[job.params.store]}
