"""Test a physical backup: restore the cluster into a scratch folder, recover it, and count its rows."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass
from typing import ClassVar

from deployctl.embedded.binaries import find_postgres
from deployctl.embedded.os_account import reachable_binaries
from deployctl.operations.backup.retention import KeptBackup, Trust
from deployctl.operations.framework.base import Job, Operation, OperationFailed, Outcome, param
from deployctl.operations.physical import recovery_checks, recovery_target, repository, scratch_folder
from deployctl.operations.physical.output_parser import OutputParser
from deployctl.operations.physical.pgbackrest import PgBackRest, engine_of, jobs_option, jobs_param
from deployctl.operations.physical.recovery_checks import STATE, ExpectedCluster, RecoveredCluster
from deployctl.operations.physical.recovery_target import RecoveryTarget
from deployctl.operations.physical.repository import Entry
from deployctl.operations.physical.scratch_folder import ScratchFolder
from deployctl.operations.physical.scratch_server import ScratchServer
from deployctl.postgres.queries import server
from deployctl.text import pluralize


class PhysicalRestoreTest(Operation):
    """Restore a physical backup into a scratch cluster, recover it, and count the rows."""

    kind: ClassVar[str] = "physical_restore_test"
    title: ClassVar[str] = "Test physical restore"
    help: ClassVar[str] = (
        "Restores the cluster into a scratch folder with pgBackRest, starts it there without network access, "
        "recovers it to a given time and counts the rows of the target's database. Then removes it, and "
        "records the duration."
    )
    changes_target: ClassVar[bool] = False
    exclusive: ClassVar[bool] = True
    time_limit_s: ClassVar[int] = 3 * 24 * 3600
    physical: ClassVar[bool] = True

    @dataclass(frozen=True)
    class Params:
        backup: str = param(
            "",
            label="Backup",
            help="The backup's name; empty for the newest one before the recovery target.",
            maximum=200,
        )
        until: str = param(
            recovery_target.LATEST,
            label="Recovery target",
            help="latest (end of the archived WAL), immediate (end of the backup), or a time such as "
            "2026-05-04T10:30:00+02:00.",
            maximum=60,
        )
        jobs: int = jobs_param()

    def perform(self, job: Job) -> Outcome:
        target = recovery_target.parse(job.params.until, now=dt.datetime.now(dt.UTC))
        with job.step("Choose the backup"):
            program = PgBackRest(job, engine_of(job))
            session = job.connect(read_only=True, statement_timeout_s=repository.STATEMENT_TIMEOUT_S)
            found = repository.read_own(job, program, session)
            kept, entry = _choose(job, found, target)
            expected = ExpectedCluster(found.system_identifier, server.identity(session).database_oid)
            binaries = reachable_binaries(find_postgres(server.facts(session).major), program.account)
            job.log(f"Backup {kept.name}, trust level {kept.trust}; recovery target {target}.")
        with job.step("Remove leftovers"):
            scratch_folder.clear_up(job, program.engine.scratch)
        needed = entry.info.size
        with scratch_folder.create(
            job, program.engine.scratch, program.account, needed_bytes=needed
        ) as scratch:
            with job.step("Restore"):
                started = time.monotonic()
                _restore(job, program, scratch, entry, target)
                restore_s = time.monotonic() - started
            copy = ScratchServer(job, scratch, binaries, program.account)
            checked = recovery_checks.recover_and_check(job, copy, target, expected)
        return _outcome(job, kept, entry, target, checked, restore_s)


def _choose(job: Job, found: repository.Repository, target: RecoveryTarget) -> tuple[KeptBackup, Entry]:
    known = repository.on_record(job, found)
    if job.params.backup:
        chosen = next(
            (
                (kept, entry)
                for label, kept in known.items()
                if kept.name == job.params.backup and (entry := found.find(label))
            ),
            None,
        )
        if chosen is None:
            raise OperationFailed(
                f"Nothing was restored: {job.target.name} has no physical backup {job.params.backup}. "
                "Choose one from the list of backups."
            )
        if not target.is_after(chosen[1].stopped_at):
            raise OperationFailed(
                f"Nothing was restored: {job.params.backup} ended at {chosen[1].stopped_at.isoformat()}, "
                "after the recovery target. Choose an earlier backup or a later time."
            )
        return chosen
    for entry in sorted(found.entries, key=lambda one: one.timestamp.stop, reverse=True):
        if entry.label in known and target.is_after(entry.stopped_at):
            return known[entry.label], entry
    raise OperationFailed(
        f"Nothing was restored: no recorded physical backup of {job.target.name} ended before {target}. "
        "Make a physical backup first, or choose a later time."
    )


def _restore(
    job: Job, program: PgBackRest, scratch: ScratchFolder, entry: Entry, target: RecoveryTarget
) -> None:
    console = OutputParser(job, "restore")
    options = [
        f"--set={entry.label}",
        f"--repo={entry.database.repo}",
        # Override hosts, links and tablespaces of the configuration: everything goes into the scratch folder.
        "--reset-pg1-host",
        f"--pg1-path={scratch.cluster}",
        f"--tablespace-map-all={scratch.tablespaces}",
        "--reset-tablespace-map",
        "--no-link-all",
        "--reset-link-map",
        "--no-delta",
        "--reset-recovery-option",
        "--reset-db-include",
        "--reset-db-exclude",
        "--archive-mode=off",
        *target.options,
        *jobs_option(job),
    ]
    program.run("restore", *options, state=STATE, on_output=console.read, console="detail")


def _outcome(
    job: Job,
    kept: KeptBackup,
    entry: Entry,
    target: RecoveryTarget,
    found: RecoveredCluster,
    restore_s: float,
) -> Outcome:
    rows = sum(found.counts.values())
    recovered = found.recovered
    last = recovered.last_commit_at
    return Outcome(
        summary=(
            f"Restored physical backup {kept.name} in {restore_s:.1f} s and recovered it to {target} in "
            f"{found.recover_s:.1f} s: {pluralize(len(found.counts), 'table')} with "
            f"{pluralize(rows, 'row')}, read but not compared."
        ),
        facts={
            "backup": kept.name,
            "until": job.params.until,
            "restore_s": round(restore_s + found.recover_s, 3),
            "recover_s": round(found.recover_s, 3),
            "replayed_lsn": recovered.replayed_lsn,
            "last_commit_at": last.isoformat() if last else None,
            "timeline": recovered.timeline,
            "databases": list(found.databases),
            "tables": len(found.counts),
            "rows": rows,
            "counts": dict(found.counts),
            "size_bytes": entry.info.size,
        },
        trust={kept.name: (Trust.RESTORED,)},
    )
