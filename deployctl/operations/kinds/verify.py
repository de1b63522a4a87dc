"""Read a backup and find out whether it still is what was written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from deployctl.operations.backup import backup_selection, manifest
from deployctl.operations.backup.integrity_check import check_backup, extent
from deployctl.operations.backup.retention import Trust
from deployctl.operations.framework.base import Job, Operation, Outcome, param


class Verify(Operation):
    """Compare every byte of a backup with its manifest. Needs nothing of the database."""

    kind: ClassVar[str] = "verify"
    title: ClassVar[str] = "Verify a backup"
    help: ClassVar[str] = (
        "Reads every byte of a backup and compares it with the manifest, and the manifest with what was "
        "recorded when it was made. Names the file that is damaged, missing or too many."
    )
    changes_target: ClassVar[bool] = False
    exclusive: ClassVar[bool] = False
    time_limit_s: ClassVar[int] = 24 * 3600

    @dataclass(frozen=True)
    class Params:
        backup: str = param("", label="Backup", help="Its name; empty for the newest.", maximum=200)

    def perform(self, job: Job) -> Outcome:
        with job.step("Choose the backup"):
            backup = backup_selection.newest(job, job.params.backup)
            job.log(f"{backup.name}, {backup.trust} so far.")
            # What the kernel remembers says nothing about the medium.
            manifest.drop_page_cache(job.target.backups.path(backup.name))
        with job.step("Read every byte"):
            _, written = check_backup(job, backup)
        return Outcome(
            summary=(f"Backup {backup.name} is whole: {extent(written)}, every byte what was written."),
            facts={
                "backup": backup.name,
                "files": len(written.files),
                "size_bytes": written.size_bytes,
                "manifest_sha256": backup.manifest_sha256,
            },
            trust={backup.name: (Trust.HASHED,)},
        )
