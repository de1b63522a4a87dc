"""Restore a backup into a new database, prove it, and swap its name with the target's database."""

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
    """Restore a backup beside the target's database, prove it, and swap their names."""

    kind: ClassVar[str] = "restore"
    title: ClassVar[str] = "Restore"
    help: ClassVar[str] = (
        "Restores a backup into a new database, proves its content, and only then lets it take the target's "
        "name; sessions are ended at that moment. The original is kept under another name until released. "
        "On production it takes a second person, and what is there is backed up first."
    )
    changes_target: ClassVar[bool] = True
    exclusive: ClassVar[bool] = True
    time_limit_s: ClassVar[int] = 24 * 3600
    needs_second_person: ClassVar[bool] = True
    overwrites: ClassVar[str] = (
        "The backup takes the place of what is in {target} now, and sessions there are ended. The database "
        "as it is now is kept under another name until it is released."
    )
    consent_parameter: ClassVar[str] = "backup"

    @dataclass(frozen=True)
    class Params(PreRestoreBackupParams, RestoreParams):
        accept_row_counts: bool = param(
            False,
            label="Numbers of rows suffice",
            help="Also restore a backup without digests, whose content cannot be compared, only counted; "
            "a dump that was made elsewhere without counts not even that.",
        )

    def perform(self, job: Job) -> Outcome:
        name = job.target.connection.dbname
        with job.step("Choose the backup"):
            backup = backup_selection.most_trusted(job, job.params.backup)
            job.log(f"{backup.name} of {backup.snapshot_at:%Y-%m-%d %H:%M:%S %Z}, {backup.trust} so far.")
        with job.step("Check the rights"):
            session = maintenance_database.connect(job)
            existing = databases.find(session, name)
            _check_rights(job, session, existing)
        with job.step("Read every byte"):
            folder, written = check_backup(job, backup)
            if not written.has_digests and not job.params.accept_row_counts:
                raise OperationFailed(
                    f"Backup {backup.name} has no digests, so that a copy's content cannot be proven. "
                    "Nothing was done. Choose another backup, or accept that numbers of rows suffice."
                )
        safety_backup = back_up_first(job) if existing is not None else None
        done = _replace(job, session, existing, folder, written)
        return _outcome(job, backup, done, safety_backup=safety_backup)


@dataclass(frozen=True)
class _Done:
    """The result. `kept` is the new name of the original, None if there was none."""

    found: Comparison
    restore_s: float
    kept: str | None
    new_oid: int


def _replace(
    job: Job, session: psycopg.Connection, existing: Database | None, folder: Path, written: Manifest
) -> _Done:
    """Restore into a new database, prove it, and give it the target's name."""
    state = f"{job.target.connection.dbname} is unchanged, and the restored copy is dropped."
    with scratch_database.create(job, session, written.source) as copy:
        with job.step("Restore into a new database"):
            restore_s = pg_restore.restore_timed(
                job, folder, written, into=copy.name, session=session, state=state
            )
        with job.connect(dbname=copy.name) as look:
            new_oid = server.identity(look).database_oid
            with job.step("Prove it"):
                found = pg_restore.compare(job, look, written, state=state)
            with (
                job.step("Collect statistics"),
                failure_on_error(job, f"ANALYZE failed. {state} The server said"),
            ):
                look.execute("ANALYZE")
        with job.step("Change names"):
            kept = database_swap.swap(
                job, session, maintenance_database.connect(job), new=copy.name, existing=existing
            )
            copy.is_kept = True
    with job.step("Look at the result"):
        _check_result(job, session, new_oid, existing, kept)
    return _Done(found, restore_s, kept, new_oid)


def _check_rights(job: Job, session: psycopg.Connection, existing: Database | None) -> None:
    pg_restore.refuse_dangerous_role(session)
    pg_restore.refuse_without_createdb(session)
    if existing is None:
        job.log(f"There is no database {job.target.connection.dbname}; the copy takes its name.")
    else:
        database_swap.refuse_unless_owner(session, existing)
    scratch_database.clear_up(job, session)


def _check_result(
    job: Job, session: psycopg.Connection, new_oid: int, existing: Database | None, kept: str | None
) -> None:
    """Check over a new session which database has which name."""
    name = job.target.connection.dbname
    with job.connect() as look:
        serving = server.identity(look).database_oid
    old = databases.find(session, kept) if kept else None
    if serving != new_oid or (existing is not None and (old is None or old.oid != existing.oid)):
        raise OperationFailed(
            f"The names were changed, but then {name} was database {serving} instead of {new_oid}"
            + (f", and {kept} was {old.oid if old else 'not there'}" if kept else "")
            + ". Somebody else works on the server. Look at its databases before anything else is done."
        )


def _outcome(job: Job, backup: KeptBackup, done: _Done, *, safety_backup: str | None) -> Outcome:
    name, found = job.target.connection.dbname, done.found
    after = (
        f"The database as it was before is kept as {done.kept} until it is released."
        if done.kept
        else "There was none before."
    )
    if safety_backup:
        after += f" It is also in backup {safety_backup}."
    return Outcome(
        summary=(
            f"{name} is now backup {backup.name}: {found.extent}, "
            f"restored in {done.restore_s:.1f} s. {after} "
            "Rights that other roles had in it must be granted again."
        ),
        facts={
            "backup": backup.name,
            "backup_before": safety_backup,
            "restore_s": round(done.restore_s, 3),
            "tables": found.tables,
            "rows": found.rows,
            "content_compared": found.with_digests,
            "kept": done.kept,
            "database_oid": done.new_oid,
            "size_bytes": backup.size_bytes,
        },
        trust={backup.name: found.trust},
        database_oid=done.new_oid,
    )
