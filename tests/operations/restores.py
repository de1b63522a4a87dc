"""Backups on record for tests, and running operations that use them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from deployctl.operations.application.project import Project
from deployctl.operations.backup.retention import KeptBackup
from deployctl.operations.framework.base import BackupArtefact, Operation, Outcome
from deployctl.operations.framework.fakes import FakeJob
from deployctl.operations.kinds.backup import Backup
from deployctl.postgres.connection import ConnectionSpec, connect


@dataclass
class Record:
    """A backup catalog in memory, with the methods that restores use."""

    kept: list[KeptBackup] = field(default_factory=list)
    settled: list[Outcome] = field(default_factory=list)

    def backups(self) -> tuple[KeptBackup, ...]:
        return tuple(self.kept)

    def physical(self) -> tuple[KeptBackup, ...]:
        return ()

    def record_outcome(self, part: Outcome) -> None:
        self.settled.append(part)
        if part.artefact is not None:
            self.kept.append(on_record(part.artefact))


def back_up(spec: ConnectionSpec, tmp_path: Path, **params: Any) -> BackupArtefact:
    job = FakeJob(spec, params=Backup.Params(**params), tmp_path=tmp_path)
    artefact = Backup().perform(job).artefact
    job.close()
    assert artefact is not None
    return artefact


def on_record(artefact: BackupArtefact, trust: str = "hashed") -> KeptBackup:
    return KeptBackup(
        artefact.name, artefact.snapshot_at, trust, artefact.size_bytes, artefact.manifest_sha256
    )


def job_for(
    operation: type[Operation],
    spec: ConnectionSpec,
    tmp_path: Path,
    backups: Sequence[BackupArtefact | KeptBackup],
    environment: str = "staging",
    project: Project | None = None,
    **params: Any,
) -> FakeJob:
    kept = [one if isinstance(one, KeptBackup) else on_record(one) for one in backups]
    return FakeJob(
        spec,
        project,
        params=operation.parse_params(params),
        tmp_path=tmp_path,
        backup_catalog=Record(kept),
        environment=environment,
    )


def perform(
    operation: type[Operation],
    spec: ConnectionSpec,
    tmp_path: Path,
    *backups: BackupArtefact | KeptBackup,
    **params: Any,
) -> tuple[FakeJob, Outcome]:
    job = job_for(operation, spec, tmp_path, backups, **params)
    try:
        return job, operation().perform(job)
    finally:
        job.close()


def databases_of(spec: ConnectionSpec) -> list[str]:
    """Return the names of the databases that the role owns."""
    with connect(spec.with_database("postgres"), application_name="test") as session:
        return names(session)


def names(session: psycopg.Connection) -> list[str]:
    rows = session.execute(
        "SELECT datname FROM pg_database WHERE pg_get_userbyid(datdba) = current_user ORDER BY datname"
    ).fetchall()
    return [name for (name,) in rows]
