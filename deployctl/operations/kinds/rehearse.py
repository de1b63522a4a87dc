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

STATE = "The target is unchanged, and the scratch database is dropped."


class Rehearse(Operation):
    """Restore a backup into a scratch database, and apply the pending migrations there."""

    kind: ClassVar[str] = "rehearse"
    title: ClassVar[str] = "Rehearse migrations"
    help: ClassVar[str] = (
        "Restores a backup into a scratch database on the same server and applies the pending migrations "
        "there. Reports their duration and the tables that they lock or rewrite; the target is not touched."
    )
    changes_target: ClassVar[bool] = False
    exclusive: ClassVar[bool] = True
    time_limit_s: ClassVar[int] = 24 * 3600

    @dataclass(frozen=True)
    class Params(RestoreParams):
        """The parameters of a restore."""

    def perform(self, job: Job) -> Outcome:
        migrator = migrator_for(require_project(job))
        with job.step("Choose the backup"):
            backup = backup_selection.most_trusted(job, job.params.backup)
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
                pg_restore.restore_timed(job, folder, written, into=copy.name, session=session, state=STATE)
            return _migrate(with_database(job, copy.name), migrator, backup)


def _migrate(job: Job, migrator: Migrator, backup: KeptBackup) -> Outcome:
    """Apply the migrations to the scratch database, which is the target of `job`."""
    with LockRecorder(job) as recorder:
        started = time.monotonic()
        try:
            applied = migrator.apply(job)
        except OperationFailed as failure:
            raise OperationFailed(f"The rehearsal failed. {failure.message} {STATE}") from failure
        duration = time.monotonic() - started
    with job.step("Check the result"):
        status = migrator.status(job)
        if not status.up_to_date:
            raise OperationFailed(
                f"Migrations are missing in the scratch database. {' '.join(status.findings)} {STATE}"
            )
        with job.connect(read_only=True) as session:
            rewritten = recorder.rewritten(session)
        for lock in recorder.locks:
            job.log(f"{lock.table} was locked ({lock.mode}) for {lock.seconds:.2f} s.")
        for table in rewritten:
            job.log(f"{table.name} ({table.size_bytes:,} bytes) was rewritten.", level="warning")
        if recorder.is_incomplete:
            job.log(
                "The server stopped reporting locks, so the list of locks is incomplete.", level="warning"
            )
    tables = [table.name for table in rewritten]
    facts: dict[str, Json] = {
        "backup": backup.name,
        "applied": list(applied),
        "duration_s": round(duration, 3),
        "locks": [asdict(lock) for lock in recorder.locks],
        "locks_complete": not recorder.is_incomplete,
        "rewritten": [asdict(table) for table in rewritten],
    }
    return Outcome(summary=_summary(applied, duration, tables, backup), facts=facts)


def _summary(applied: Sequence[str], duration_s: float, tables: Sequence[str], backup: KeptBackup) -> str:
    if not applied:
        return f"Nothing to rehearse: all migrations are applied in backup {backup.name}."
    rewritten = f"rewritten tables: {', '.join(tables)}" if tables else "no table was rewritten"
    migrations = pluralize(len(applied), "migration")
    return f"{migrations} took {duration_s:.1f} s on a copy of {backup.name}; {rewritten}."
