"""Make a physical backup of the target's cluster with pgBackRest, and check that its repository lists it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

from deployctl.operations.backup.retention import Trust
from deployctl.operations.framework.base import (
    PGBACKREST,
    BackupArtefact,
    Job,
    Json,
    Operation,
    OperationFailed,
    Outcome,
    param,
)
from deployctl.operations.physical import repository
from deployctl.operations.physical.output_parser import OutputParser
from deployctl.operations.physical.pgbackrest import (
    PgBackRest,
    engine_of,
    jobs_option,
    jobs_param,
    repository_param,
)
from deployctl.operations.physical.repository import Entry, Repository
from deployctl.postgres.queries import server
from deployctl.text import pluralize

STATE = "Earlier backups are untouched. The next backup resumes or removes an incomplete one."
LABEL = r"new backup label = (\S+)"
FILES = r"backup size = .*, file total = (\d+)"


class PhysicalBackup(Operation):
    """Make a physical backup of the target's cluster with pgBackRest."""

    kind: ClassVar[str] = "physical_backup"
    title: ClassVar[str] = "Make physical backup"
    help: ClassVar[str] = (
        "Backs up the whole cluster with pgBackRest, and records the backup beside the dumps. With the "
        "archived WAL, the cluster can be recovered to any later time."
    )
    changes_target: ClassVar[bool] = False
    exclusive: ClassVar[bool] = True
    time_limit_s: ClassVar[int] = 3 * 24 * 3600
    physical: ClassVar[bool] = True

    @dataclass(frozen=True)
    class Params:
        type: str = param(
            "incr",
            label="Type",
            help="full: the whole cluster; diff: changes since the last full backup; incr: changes since the "
            "last backup of any type.",
            choices=("full", "diff", "incr"),
        )
        repository: int = repository_param()
        jobs: int = jobs_param()

    def perform(self, job: Job) -> Outcome:
        started = time.monotonic()
        with job.step("Inspect target and repository"):
            program = PgBackRest(job, engine_of(job))
            session = job.connect(read_only=True, statement_timeout_s=repository.STATEMENT_TIMEOUT_S)
            before = repository.read_own(job, program, session)
            about = server.facts(session)
        with job.step("Back up"):
            console = OutputParser(job, "back up")
            options = [f"--type={job.params.type}", f"--repo={job.params.repository}", *jobs_option(job)]
            program.run("backup", *options, state=STATE, on_output=console.read, console="detail")
        with job.step("Read the repository"):
            # This also records the backups that pgBackRest has expired meanwhile.
            after = repository.read_own(job, program, session)
            entry = _find_new_entry(before, after, console.search(LABEL))
            digest = repository.digest_of_manifest(program, entry)
            damaged = repository.damaged_pages(program, entry) if entry.error else []
            for name in damaged:
                job.log(f"Pages with wrong checksums: {name}", level="error")
        artefact = BackupArtefact(
            name=f"{job.target.name}-{entry.label}",
            path=repository.path_of(after.stanza, entry),
            format=entry.type,
            size_bytes=entry.info.repository.delta,
            files=int(console.search(FILES) or 0),
            server_version=about.version,
            tool_version=program.version,
            snapshot_at=entry.stopped_at,
            manifest_sha256=digest,
            counts={},
            engine=PGBACKREST,
            reached=(Trust.WRITTEN,),
            details=entry.details(stanza=after.stanza, system_identifier=after.system_identifier),
        )
        return _outcome(artefact, entry, damaged, time.monotonic() - started)


def _find_new_entry(before: Repository, after: Repository, label: str | None) -> Entry:
    """Return the backup with the label that pgBackRest printed; it must be new in the repository."""
    entry = after.find(label) if label else None
    if entry is None or before.find(entry.label) is not None:
        raise OperationFailed(
            f"pgBackRest reported no error, but its repository does not list the new backup {label or ''}. "
            f"{STATE} Check the repository with `pgbackrest info`."
        )
    return entry


def _outcome(artefact: BackupArtefact, entry: Entry, damaged: list[Json], duration_s: float) -> Outcome:
    sizes = entry.info
    size = (
        f"cluster of {sizes.size:,} bytes, {sizes.delta:,} of them copied, "
        f"{artefact.size_bytes:,} in the repository"
    )
    warning = (
        f" The cluster is damaged: {pluralize(len(damaged), 'file')} with wrong page checksums. "
        "Repair it now, while earlier backups still have undamaged copies."
        if entry.error
        else ""
    )
    return Outcome(
        summary=f"Physical backup {artefact.name} ({entry.type}): {size}.{warning}",
        facts={
            **artefact.details,
            "name": artefact.name,
            "files": artefact.files,
            "damaged_files": damaged,
            "tool_version": artefact.tool_version,
            "server_version": artefact.server_version,
            "manifest_sha256": artefact.manifest_sha256,
            "duration_s": round(duration_s, 3),
        },
        artefact=artefact,
    )
