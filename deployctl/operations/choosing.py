"""Which backup an operation is about, and that its files are what was recorded when it was made."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from deployctl.numbers import how_many
from deployctl.operations import manifest
from deployctl.operations.base import Job, OperationFailed
from deployctl.operations.manifest import Manifest
from deployctl.operations.retention import TRUST_LEVELS, KeptBackup

REPORT_EVERY_S = 0.25


def newest(job: Job, name: str) -> KeptBackup:
    """The backup of a name, or the newest one of ours where the name is empty.

    Raises:
        OperationFailed: there is none.
    """
    return _find(job, name) if name else max(_ours(job), key=lambda backup: backup.snapshot_at)


def most_trusted(job: Job, name: str) -> KeptBackup:
    """The backup of a name; where it is empty, the newest of those of ours that are trusted most.

    Raises:
        OperationFailed: there is none.
    """
    return _find(job, name) if name else max(_ours(job), key=by_trust)


def ours(backups: Iterable[KeptBackup]) -> list[KeptBackup]:
    """Those that were made here: what was made elsewhere is only taken when it is asked for by name."""
    return [backup for backup in backups if backup.uploaded_at is None]


def by_trust(backup: KeptBackup) -> tuple[int, dt.datetime]:
    """Orders backups by how far they are trusted, then by age; the best is the last."""
    return TRUST_LEVELS.index(backup.trust), backup.snapshot_at


def checked(job: Job, backup: KeptBackup) -> tuple[Path, Manifest]:
    """Read every byte of a backup and compare it with the manifest, and that with the record.

    Only what this passes may be given to pg_restore: it is what we wrote or took in ourselves, unchanged.

    Returns:
        Its folder and its manifest.

    Raises:
        Damaged: naming the file and what is wrong with it.
        StorageError: the backup is not where it was written.
    """
    folder = job.target.backups.path(backup.name)
    written = manifest.read(folder, expected_sha256=backup.manifest_sha256)
    manifest.check(folder, written, advance=reporter(job, written.size_bytes, "read"))
    job.log(f"As the manifest says: {extent(written)}.")
    return folder, written


def extent(written: Manifest) -> str:
    """How much a backup is, in words."""
    return f"{how_many(len(written.files), 'file')} with {how_many(written.size_bytes, 'byte')}"


def reporter(job: Job, total: int, phase: str) -> Callable[[int], None]:
    """Progress of reading files, a few times a second, with a way out for cancelling."""
    due = 0.0

    def advance(done: int) -> None:
        nonlocal due
        job.raise_if_cancelled()
        if done == total or time.monotonic() >= due:
            due = time.monotonic() + REPORT_EVERY_S
            job.advance(done, total, unit="bytes", phase=phase)

    return advance


def _all(job: Job) -> tuple[KeptBackup, ...]:
    found = job.shelf.backups()
    if not found:
        raise OperationFailed(f"There is no backup of {job.target.name} yet. Back up first.")
    return found


def _ours(job: Job) -> list[KeptBackup]:
    found = ours(_all(job))
    if not found:
        raise OperationFailed(
            f"There is no backup of {job.target.name} yet but uploaded ones. Say which of them by its name."
        )
    return found


def _find(job: Job, name: str) -> KeptBackup:
    if any(backup.name == name for backup in job.shelf.physical()):
        raise OperationFailed(
            f"{name} is a physical backup, which pgBackRest keeps. Nothing was done. Use “Verify physical "
            "backups” or “Test a physical restore”."
        )
    for backup in _all(job):
        if backup.name == name:
            return backup
    raise OperationFailed(
        f"{job.target.name} has no backup {name} (any more). Nothing was done. "
        "The list of backups shows which there are."
    )
