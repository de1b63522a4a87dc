"""Rehearse the pending migrations on a copy of the database, restored from a backup."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar

from deployctl.operations.application.project_helpers import require_project
from deployctl.operations.backup import backup_selection
from deployctl.operations.backup.integrity_check import check_backup
from deployctl.operations.backup.retention import KeptBackup
from deployctl.operations.framework import maintenance_database
from deployctl.operations.framework.base import Job, Json, Operation, OperationFailed, Outcome
from deployctl.operations.framework.sub_job import with_database
from deployctl.operations.migrations import migrator_for
from deployctl.operations.migrations.base import Migrator
from deployctl.operations.migrations.lock_observers import LockRecorder
from deployctl.operations.restore import pg_restore, scratch_database
from deployctl.operations.restore.pg_restore import RestoreParams
from deployctl.text import pluralize

STATE = "The target was not touched, and the scratch database is dropped."


class Rehearse(Operation):
    """Restore the newest of the most trusted backups into a scratch database, and migrate that."""

    kind: ClassVar[str] = "rehearse"
    title: ClassVar[str] = "Rehearse migrations"
    help: ClassVar[str] = (
        "Restores a backup into a scratch database on the same server, applies the pending migrations there, "
        "and tells how long they take, which tables they lock and which they write anew. The target "
        "stays untouched."
    )
    changes_target: ClassVar[bool] = False
    exclusive: ClassVar[bool] = True
    time_limit_s: ClassVar[int] = 24 * 3600

    @dataclass(frozen=True)
    class Params(RestoreParams):
        """Which backup."""

    def perform(self, job: Job) -> Outcome:
        """Restore, migrate, report; the scratch database is dropped whatever happens."""
        migrator = migrator_for(require_project(job))
        with job.step("Choose the backup"):
            backup = backup_selection.most_trusted(job, job.params.backup)
            job.log(f"{backup.name}, {backup.trust} so far.")
        with job.step("Check the rights"):
            session = maintenance_database.connect(job)
            pg_restore.refuse_dangerous_role(session)
            pg_restore.refuse_without_createdb(session)
            scratch_database.clear_up(job, session)
        with job.step("Read every byte"):
            folder, written = check_backup(job, backup)
        with scratch_database.create(job, session, written.source) as copy:
            with job.step("Restore"):
                pg_restore.restore_timed(job, folder, written, into=copy.name, session=session, state=STATE)
            return _migrate(with_database(job, copy.name), migrator, backup)


def _migrate(job: Job, migrator: Migrator, backup: KeptBackup) -> Outcome:
    """Apply the migrations to the copy.

    Args:
        job: on the copy.
    """
    with LockRecorder(job) as recorder:
        started = time.monotonic()
        try:
            applied = migrator.apply(job)
        except OperationFailed as failure:
            raise OperationFailed(f"The rehearsal failed. {failure.message} {STATE}") from failure
        duration = time.monotonic() - started
    with job.step("Look at what they did"):
        status = migrator.status(job)
        if not status.up_to_date:
            raise OperationFailed(f"The copy is not up to date. {' '.join(status.findings)} {STATE}")
        with job.connect(read_only=True) as look:
            rewritten = recorder.rewritten(look)
        for lock in recorder.locks:
            job.log(f"{lock.table} was locked ({lock.mode}) for {lock.seconds:.2f} s.")
        for was in rewritten:
            job.log(f"{was.name} with {was.size_bytes:,} bytes was written anew.", level="warning")
        if recorder.is_incomplete:
            job.log("The server stopped reporting locks, so some are missing.", level="warning")
    tables = [was.name for was in rewritten]
    facts: dict[str, Json] = {
        "backup": backup.name,
        "applied": list(applied),
        "duration_s": round(duration, 3),
        "locks": [asdict(lock) for lock in recorder.locks],
        "locks_complete": not recorder.is_incomplete,
        "rewritten": [asdict(was) for was in rewritten],
    }
    return Outcome(summary=_summary(applied, duration, tables, backup), facts=facts)


def _summary(applied: Sequence[str], duration_s: float, tables: Sequence[str], backup: KeptBackup) -> str:
    if not applied:
        return f"Nothing to rehearse: in backup {backup.name} every migration is applied."
    written = f"written anew: {', '.join(tables)}" if tables else "no table was written anew"
    known = pluralize(len(applied), "migration")
    return f"{known} took {duration_s:.1f} s on a copy of {backup.name}; {written}."
