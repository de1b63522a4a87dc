"""Copy a backup to another place, and read the copy back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from deployctl.operations import manifest
from deployctl.operations.base import Job, Json, Operation, OperationFailed, Outcome, param
from deployctl.operations.offsite import Copying
from deployctl.operations.retention import KeptBackup
from deployctl.storage.stores import Store

REPORT_EVERY_S = 0.5


class CopyOffsite(Operation):
    """Bring a backup to the offsite stores of the installation."""

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
            stores, backup = _stores(job), _backup(job)
            wanted = [
                name for name in stores if job.params.again or backup.name not in job.shelf.copied(name)
            ]
            for name in stores.keys() - set(wanted):
                job.log(f"A copy of {backup.name} in {name} was read back before; it is not copied again.")
        if not wanted:
            return Outcome(f"{backup.name} was copied before; nothing was to do.", {"backup": backup.name})
        folder = job.target.backups.path(backup.name)
        with job.step("Check the backup"):
            found = manifest.read(folder, expected_sha256=backup.manifest_sha256)
            manifest.check(folder, found, advance=_reporter(job, found.size_bytes, "check"))
        digests: dict[str, Json] = {}
        for name in wanted:
            digests[name] = _copy(job, stores[name], backup, found)
        return Outcome(
            f"{backup.name} was copied to {', '.join(digests)}, and every byte read back.",
            {"backup": backup.name, "copies": digests, "size_bytes": found.size_bytes},
        )


def _copy(job: Job, store: Store, backup: KeptBackup, found: manifest.Manifest) -> str:
    folder, key = job.target.backups.path(backup.name), f"{job.target.name}/{backup.name}"
    with job.step(f"Copy to {store.name}"):
        job.log(f"{store.address}, {'encrypted' if store.recipient else 'not encrypted'}.")
        copying = Copying(store, folder, key, expected=found)
        copying.write(_counter(job, found.size_bytes, "copy"))
    with job.step(f"Read back from {store.name}"):
        result = copying.read_back(_counter(job, found.size_bytes, "read back"))
        job.shelf.record_copy(backup, store=store, result=result)
        job.log(f"{result.size_bytes:,} bytes were read back and are as they were written.")
    return result.digest


def _stores(job: Job) -> dict[str, Store]:
    stores = dict(job.shelf.stores())
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


def _backup(job: Job) -> KeptBackup:
    for backup in job.shelf.backups():  # newest first
        if job.params.backup == backup.name or (not job.params.backup and backup.uploaded_at is None):
            return backup
    if any(backup.name == job.params.backup for backup in job.shelf.physical()):
        raise OperationFailed(
            f"{job.params.backup} is a physical backup, which pgBackRest keeps. Nothing was copied. Give "
            "pgBackRest a second repository (repo2-…) instead."
        )
    asked = f"{job.params.backup} of {job.target.name}" if job.params.backup else f"of {job.target.name}"
    raise OperationFailed(f"There is no backup {asked}, or it expired. Nothing was copied.")


def _counter(job: Job, total: int, phase: str) -> Callable[[int], None]:
    """As `_reporter`, told how many bytes more each time."""
    done, report = 0, _reporter(job, total, phase)

    def count(more: int) -> None:
        nonlocal done
        done += more
        report(done)

    return count


def _reporter(job: Job, total: int, phase: str) -> Callable[[int], None]:
    """Progress a few times a second, with a way out for cancelling."""
    due = 0.0

    def report(done: int) -> None:
        nonlocal due
        job.raise_if_cancelled()
        if time.monotonic() >= due:
            due = time.monotonic() + REPORT_EVERY_S
            # What manifest and encryption add is not in the total.
            job.advance(min(done, total), total, unit="bytes", phase=phase)

    return report
