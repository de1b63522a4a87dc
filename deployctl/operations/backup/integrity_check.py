"""Compare the files of a backup with its manifest, and report the progress."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from deployctl.operations.backup import manifest
from deployctl.operations.backup.manifest import Manifest
from deployctl.operations.backup.retention import KeptBackup
from deployctl.operations.framework.base import Job, OperationFailed
from deployctl.storage.local import fsync_tree
from deployctl.text import pluralize

REPORT_EVERY_S = 0.25


def check_backup(job: Job, backup: KeptBackup, *, phase: str = "read") -> tuple[Path, Manifest]:
    """Compare every byte of a backup with the manifest, and the manifest with the record.

    Only a backup that passes may be passed to pg_restore: it has not changed since it was made or imported.

    Returns:
        Its folder and its manifest.

    Raises:
        Damaged: a file or the manifest differs; the message has the file and the difference.
        StorageError: the backup's folder is missing.
    """
    folder = job.target.backups.path(backup.name)
    written = manifest.read(folder, expected_sha256=backup.manifest_sha256)
    manifest.check(folder, written, advance=byte_progress(job, written.size_bytes, phase))
    job.log(f"No difference from the manifest: {extent(written)}.")
    return folder, written


def read_back(job: Job, folder: Path, written: Manifest) -> str:
    """Flush a new backup to disk, read it back, and compare it with the manifest.

    Returns:
        The SHA-256 of the manifest.

    Raises:
        OperationFailed: a file was read back differently than it was written.
    """
    fsync_tree(folder)
    manifest.drop_page_cache(folder)
    if manifest.read(folder) != written:
        raise OperationFailed(
            "The manifest was read back differently than it was written. The backup was removed. "
            "Check the disk, then try again."
        )
    manifest.check(folder, written, advance=byte_progress(job, written.size_bytes, "read back"))
    job.log(f"Read back without a difference: {extent(written)}.")
    return manifest.sha256_of(folder / manifest.NAME)


def extent(written: Manifest) -> str:
    """Return the number of files and bytes of a backup as text."""
    return f"{pluralize(len(written.files), 'file')} with {pluralize(written.size_bytes, 'byte')}"


def byte_progress(job: Job, total: int, phase: str) -> Callable[[int], None]:
    """Return a function that reports the bytes done a few times a second, and raises Cancelled."""
    due = 0.0

    def report(done: int) -> None:
        nonlocal due
        job.raise_if_cancelled()
        if done == total or time.monotonic() >= due:
            due = time.monotonic() + REPORT_EVERY_S
            # A copy may have more bytes than the total: its manifest, and what encryption adds.
            job.advance(min(done, total), total, unit="bytes", phase=phase)

    return report


def added_bytes_progress(job: Job, total: int, phase: str) -> Callable[[int], None]:
    """Return such a function that takes the bytes added since its last call."""
    done, report = 0, byte_progress(job, total, phase)

    def add(more: int) -> None:
        nonlocal done
        done += more
        report(done)

    return add
