"""A cluster with pgBackRest, shared by the tests of this folder in a process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from deployctl.operations.backup.retention import KeptBackup
from deployctl.operations.framework.base import BackupArtefact, Operation, Outcome
from deployctl.operations.framework.fakes import FakeJob
from deployctl.operations.kinds.physical_backup import PhysicalBackup
from tests.operations.physical.cluster import Cluster, Record, running


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Run a server with 500 orders that archives into a repository of its own."""
    with running() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def full(cluster: Cluster) -> BackupArtefact:
    """Make a full backup of the cluster with the operation."""
    return made(job_for(PhysicalBackup, cluster, type="full"), PhysicalBackup)


@pytest.fixture
def job(cluster: Cluster, full: BackupArtefact) -> Iterator[Callable[..., FakeJob]]:
    """Return a function that returns a job on the cluster, with its full backup on record."""
    jobs: list[FakeJob] = []

    def make(operation: type[Operation], *more: BackupArtefact, **params: Any) -> FakeJob:
        jobs.append(job_for(operation, cluster, full, *more, **params))
        return jobs[-1]

    yield make
    for one in jobs:
        one.close()


def job_for(operation: type[Operation], cluster: Cluster, *backups: BackupArtefact, **params: Any) -> FakeJob:
    """Return a job on the cluster with these backups on record."""
    return FakeJob(
        cluster.spec,
        params=operation.parse_params(params),
        physical=cluster.engine,
        backup_catalog=Record([kept(one) for one in backups]),
    )


def made(job: FakeJob, operation: type[Operation]) -> BackupArtefact:
    """Run an operation, and return its backup."""
    outcome: Outcome = operation().perform(job)
    job.close()
    assert outcome.artefact is not None
    return outcome.artefact


def kept(artefact: BackupArtefact) -> KeptBackup:
    """Return a backup as it is on record."""
    return KeptBackup(
        artefact.name,
        artefact.snapshot_at,
        artefact.reached[-1],
        artefact.size_bytes,
        artefact.manifest_sha256,
        artefact.details,
    )
