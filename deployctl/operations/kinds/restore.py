"""Restore a backup into a new database, verify it, and swap names with the target's database."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import psycopg

from deployctl.operations.backup import backup_selection
from deployctl.operations.backup.integrity_check import check_backup
from deployctl.operations.backup.manifest import Manifest
from deployctl.operations.backup.retention import KeptBackup
from deployctl.operations.framework import maintenance_database
from deployctl.operations.framework.base import Job, Operation, OperationFailed, Outcome, param
from deployctl.operations.framework.postgres_errors import failure_on_error
from deployctl.operations.restore import database_swap, pg_restore, scratch_database
from deployctl.operations.restore.pg_restore import Comparison, RestoreParams
from deployctl.operations.restore.pre_restore_backup import PreRestoreBackupParams, back_up_first
from deployctl.postgres.queries import databases, server
from deployctl.postgres.queries.databases import Database


class Restore(Operation):
    """Replace the target's database with a restored backup, and keep the original under another name."""

    kind: ClassVar[str] = "restore"
    title: ClassVar[str] = "Restore backup"
    help: ClassVar[str] = (
        "Restores a backup into a new database, compares its content with the manifest, and swaps it in, "
        "which ends all sessions. The original is kept under another name. On production, requires dual "
        "approval and backs up the current database first."
    )
    changes_target: ClassVar[bool] = True
    exclusive: ClassVar[bool] = True
    time_limit_s: ClassVar[int] = 24 * 3600
    needs_second_person: ClassVar[bool] = True
    overwrites: ClassVar[str] = (
        "This replaces {target} with the backup and ends its sessions. The current database is kept under "
        "another name until it is dropped."
    )
    consent_parameter: ClassVar[str] = "backup"

    @dataclass(frozen=True)
    class Params(PreRestoreBackupParams, RestoreParams):
        accept_row_counts: bool = param(
            False,
            label="Accept without digests",
            help="Also restore a backup without digests: only its row counts can be compared. An uploaded "
            "dump may have no counts either.",
        )

    def perform(self, job: Job) -> Outcome:
        name = job.target.connection.dbname
        with job.step("Choose the backup"):
            backup = backup_selection.most_trusted(job, job.params.backup)
            taken_at = f"{backup.snapshot_at:%Y-%m-%d %H:%M:%S %Z}"
            job.log(f"Backup {backup.name} of {taken_at}, trust level {backup.trust}.")
        with job.step("Check privileges"):
            session = maintenance_database.connect(job)
            existing = databases.find(session, name)
            _check_privileges(job, session, existing)
        with job.step("Check the backup"):
            folder, written = check_backup(job, backup)
            if not written.has_digests and not job.params.accept_row_counts:
                raise OperationFailed(
                    f"Backup {backup.name} has no digests, so the restored content can't be compared. "
                    "Nothing was changed. Choose another backup, or accept one without digests."
                )
        safety_backup = back_up_first(job) if existing is not None else None
        result = _replace(job, session, existing, folder, written)
        return _outcome(job, backup, result, safety_backup=safety_backup)


@dataclass(frozen=True)
class _Result:
    """The result; `kept` is the new name of the original database, None if there was none."""

    found: Comparison
    restore_s: float
    kept: str | None
    new_oid: int


def _replace(
    job: Job, session: psycopg.Connection, existing: Database | None, folder: Path, written: Manifest
) -> _Result:
    """Restore into a new database, compare it, and give it the target's name."""
    state = f"{job.target.connection.dbname} is unchanged, and the restored copy is dropped."
    with scratch_database.create(job, session, written.source) as copy:
        with job.step("Restore into a new database"):
            restore_s = pg_restore.restore_timed(
                job, folder, written, into=copy.name, session=session, state=state
            )
        with job.connect(dbname=copy.name) as session_on_copy:
            new_oid = server.identity(session_on_copy).database_oid
            with job.step("Compare the content"):
                found = pg_restore.compare(job, session_on_copy, written, state=state)
            with (
                job.step("Update statistics"),
                failure_on_error(job, f"ANALYZE failed. {state} The server reported"),
            ):
                session_on_copy.execute("ANALYZE")
        with job.step("Swap names"):
            kept = database_swap.swap(
                job, session, maintenance_database.connect(job), new=copy.name, existing=existing
            )
            copy.is_kept = True
    with job.step("Check the result"):
        _check_result(job, session, new_oid, existing, kept)
    return _Result(found, restore_s, kept, new_oid)


def _check_privileges(job: Job, session: psycopg.Connection, existing: Database | None) -> None:
    pg_restore.refuse_dangerous_role(session)
    pg_restore.refuse_without_createdb(session)
    if existing is None:
        job.log(f"Database {job.target.connection.dbname} doesn't exist; the copy gets its name.")
    else:
        database_swap.refuse_unless_owner(session, existing)
    scratch_database.clear_up(job, session)


def _check_result(
    job: Job, session: psycopg.Connection, new_oid: int, existing: Database | None, kept: str | None
) -> None:
    """Check in a new session which database has which name."""
    name = job.target.connection.dbname
    with job.connect() as new_session:
        current_oid = server.identity(new_session).database_oid
    old = databases.find(session, kept) if kept else None
    if current_oid != new_oid or (existing is not None and (old is None or old.oid != existing.oid)):
        raise OperationFailed(
            f"The names were swapped, but now {name} is the database with OID {current_oid}, not {new_oid}"
            + (f", and {kept} {f'has OID {old.oid}' if old else 'is missing'}" if kept else "")
            + ". Somebody else is changing the server. Check its databases before you do anything else."
        )


def _outcome(job: Job, backup: KeptBackup, result: _Result, *, safety_backup: str | None) -> Outcome:
    name, found = job.target.connection.dbname, result.found
    original = (
        f"The original database is kept as {result.kept} until it is dropped."
        if result.kept
        else "There was no database before."
    )
    if safety_backup:
        original += f" It is also in backup {safety_backup}."
    return Outcome(
        summary=(
            f"{name} is now backup {backup.name}: {found.extent}, "
            f"restored in {result.restore_s:.1f} s. {original} "
            "Grant other roles their privileges in it again."
        ),
        facts={
            "backup": backup.name,
            "backup_before": safety_backup,
            "restore_s": round(result.restore_s, 3),
            "tables": found.tables,
            "rows": found.rows,
            "content_compared": found.with_digests,
            "kept": result.kept,
            "database_oid": result.new_oid,
            "size_bytes": backup.size_bytes,
        },
        trust={backup.name: found.trust},
        database_oid=result.new_oid,
    )
