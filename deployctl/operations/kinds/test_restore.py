"""Test a backup: restore it into a scratch database and compare its content with the manifest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from deployctl.operations.backup import backup_selection
from deployctl.operations.backup.integrity_check import check_backup
from deployctl.operations.backup.retention import KeptBackup
from deployctl.operations.framework import maintenance_database
from deployctl.operations.framework.base import Job, Operation, Outcome, param
from deployctl.operations.restore import pg_restore, scratch_database
from deployctl.operations.restore.pg_restore import Comparison, RestoreParams

STATE = "The target is unchanged, and the scratch database is dropped."


class RestoreTest(Operation):
    """Restore a backup into a scratch database on the target's server, compare, and drop it."""

    kind: ClassVar[str] = "test_restore"
    title: ClassVar[str] = "Test restore"
    help: ClassVar[str] = (
        "Restores a backup into a scratch database on the same server, compares every table with the "
        "manifest, and drops the scratch database. Records the duration."
    )
    changes_target: ClassVar[bool] = False
    exclusive: ClassVar[bool] = True
    time_limit_s: ClassVar[int] = 24 * 3600

    @dataclass(frozen=True)
    class Params(RestoreParams):
        backup: str = param("", label="Backup", help="The backup's name; empty for the newest.", maximum=200)

    def perform(self, job: Job) -> Outcome:
        with job.step("Choose the backup"):
            backup = backup_selection.newest(job, job.params.backup)
            job.log(f"Backup {backup.name}, trust level {backup.trust}.")
        with job.step("Check privileges"):
            session = maintenance_database.connect(job)
            pg_restore.refuse_dangerous_role(session)
            pg_restore.refuse_without_createdb(session)
            scratch_database.clear_up(job, session)
        with job.step("Check the backup"):
            folder, written = check_backup(job, backup)
        with scratch_database.create(job, session, written.source) as copy:
            with job.step("Restore"):
                restore_s = pg_restore.restore_timed(
                    job, folder, written, into=copy.name, session=session, state=STATE
                )
            with job.step("Compare"), job.connect(dbname=copy.name) as session_on_copy:
                found = pg_restore.compare(job, session_on_copy, written, state=STATE)
        return _outcome(backup, found, restore_s)


def _outcome(backup: KeptBackup, found: Comparison, restore_s: float) -> Outcome:
    return Outcome(
        summary=f"Restored backup {backup.name} in {restore_s:.1f} s: {found.extent}, {found.result}.",
        facts={
            "backup": backup.name,
            "restore_s": round(restore_s, 3),
            "tables": found.tables,
            "rows": found.rows,
            "content_compared": found.with_digests,
            "size_bytes": backup.size_bytes,
        },
        trust={backup.name: found.trust},
    )
