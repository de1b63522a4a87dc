"""Verify a backup: compare every byte with its manifest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from deployctl.operations.backup import backup_selection, manifest
from deployctl.operations.backup.integrity_check import check_backup, extent
from deployctl.operations.backup.retention import Trust
from deployctl.operations.framework.base import Job, Operation, Outcome, param


class Verify(Operation):
    """Compare every byte of a backup with its manifest, without using the database."""

    kind: ClassVar[str] = "verify"
    title: ClassVar[str] = "Verify backup"
    help: ClassVar[str] = (
        "Compares every byte of a backup with its manifest, and the manifest with the record. Names the file "
        "that is damaged, missing or unexpected."
    )
    changes_target: ClassVar[bool] = False
    exclusive: ClassVar[bool] = False
    time_limit_s: ClassVar[int] = 24 * 3600

    @dataclass(frozen=True)
    class Params:
        backup: str = param("", label="Backup", help="The backup's name; empty for the newest.", maximum=200)

    def perform(self, job: Job) -> Outcome:
        with job.step("Choose the backup"):
            backup = backup_selection.newest(job, job.params.backup)
            job.log(f"Backup {backup.name}, trust level {backup.trust}.")
            # Otherwise the kernel could serve the files from memory instead of the disk.
            manifest.drop_page_cache(job.target.backups.path(backup.name))
        with job.step("Check the backup"):
            _, written = check_backup(job, backup)
        return Outcome(
            summary=f"Backup {backup.name} is undamaged: {extent(written)} match the manifest.",
            facts={
                "backup": backup.name,
                "files": len(written.files),
                "size_bytes": written.size_bytes,
                "manifest_sha256": backup.manifest_sha256,
            },
            trust={backup.name: (Trust.HASHED,)},
        )
