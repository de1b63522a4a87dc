"""Read the backups in a pgBackRest repository, and check that they belong to the target's cluster."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from deployctl.operations.backup.retention import KeptBackup
from deployctl.operations.framework.base import Job, Json, OperationFailed
from deployctl.operations.physical.pgbackrest import PgBackRest
from deployctl.postgres.queries import server
from deployctl.text import pluralize

STATEMENT_TIMEOUT_S = 30
# Status codes of `info` (pgBackRest's src/command/info/info.c). With MIXED, a repository failed, so the list
# is incomplete.
OK, NO_BACKUPS, MIXED = 0, 2, 4


class _Range(BaseModel):
    start: str
    stop: str


class _Times(BaseModel):
    start: int
    stop: int


class _RepositorySize(BaseModel):
    delta: int
    size: int | None = None  # missing if the backups share blocks (block incremental)


class _Sizes(BaseModel):
    size: int
    delta: int
    repository: _RepositorySize


class _Database(BaseModel):
    id: int
    repo: int = Field(alias="repo-key")


class Entry(BaseModel):
    """A backup in a repository, as in `info --output=json`."""

    label: str
    type: str
    archive: _Range
    lsn: _Range
    timestamp: _Times
    info: _Sizes
    database: _Database
    reference: list[str] | None = None
    error: bool | None = None  # True if pages have invalid checksums; None without checksums

    @property
    def stopped_at(self) -> dt.datetime:
        """Return the end of the backup, the earliest time to which it can be recovered."""
        return dt.datetime.fromtimestamp(self.timestamp.stop, dt.UTC)

    def details(self, *, stanza: str, system_identifier: str) -> dict[str, Json]:
        """Return the facts about the backup for its record."""
        return {
            "stanza": stanza,
            "label": self.label,
            "type": self.type,
            "repository": self.database.repo,
            "system_identifier": system_identifier,
            "wal_start": self.archive.start,
            "wal_stop": self.archive.stop,
            "lsn_start": self.lsn.start,
            "lsn_stop": self.lsn.stop,
            "started_at": dt.datetime.fromtimestamp(self.timestamp.start, dt.UTC).isoformat(),
            "stopped_at": self.stopped_at.isoformat(),
            "cluster_bytes": self.info.size,
            "copied_bytes": self.info.delta,
            "repository_bytes": self.info.repository.delta,
            "set_bytes": self.info.repository.size,
            "references": self.reference or [],
            "page_errors": self.error,
        }


class _Cluster(BaseModel):
    id: int
    system_identifier: int = Field(alias="system-id")
    version: str


class _Status(BaseModel):
    code: int
    message: str


class _Stanza(BaseModel):
    name: str
    backup: list[Entry]
    db: list[_Cluster]
    status: _Status


@dataclass(frozen=True)
class Repository:
    """The backups of a stanza, oldest first; `is_complete` is False if a repository could not be read."""

    stanza: str
    system_identifier: str
    server_version: str
    entries: tuple[Entry, ...]
    is_complete: bool

    def find(self, label: str) -> Entry | None:
        """Return the backup with a label, or None."""
        return next((entry for entry in self.entries if entry.label == label), None)


def read(program: PgBackRest) -> Repository:
    """Return the backups of the engine's stanza.

    Raises:
        OperationFailed: the stanza doesn't exist, or can't be read.
    """
    return parse(program.output("info", "--output=json"), stanza=program.engine.stanza)


def parse(output: bytes, *, stanza: str) -> Repository:
    """Parse the output of `info --output=json`.

    Raises:
        OperationFailed: the stanza doesn't exist, or can't be read.
    """
    try:
        found = next(one for one in TypeAdapter(list[_Stanza]).validate_json(output) if one.name == stanza)
    except (ValidationError, StopIteration) as error:
        raise OperationFailed(
            f"The output of pgBackRest's info for stanza {stanza} has an unknown form. Nothing was changed."
        ) from error
    if found.status.code not in {OK, NO_BACKUPS, MIXED} or not found.db:
        raise OperationFailed(
            f"pgBackRest reports about stanza {stanza}: {found.status.message}. Nothing was changed. Check "
            "the stanza's name, access to its repository, and that `pgbackrest stanza-create` was run."
        )
    newest = found.db[-1]  # the earlier ones are from before an upgrade
    return Repository(
        stanza=stanza,
        system_identifier=str(newest.system_identifier),
        server_version=newest.version,
        entries=tuple(found.backup),
        is_complete=found.status.code != MIXED,
    )


def read_own(job: Job, program: PgBackRest, session: psycopg.Connection) -> Repository:
    """Return the backups of the target's stanza after checking the cluster's system identifier.

    Backups on record that the repository no longer contains are expired.

    Args:
        session: on the target.

    Raises:
        OperationFailed: as `read`, or the stanza belongs to another cluster.
    """
    # Read before the repository: a backup that another run records in between must not count as missing.
    recorded = job.backup_catalog.physical()
    repository = read(program)
    own = server.identity(session).system_identifier
    if own is None:
        role = psycopg.sql.Identifier(job.target.connection.user).as_string()
        raise OperationFailed(
            f"Role {job.target.connection.user} may not read the cluster's system identifier, so deployctl "
            f"can't check that stanza {repository.stanza} belongs to this cluster. Nothing was done. Allow "
            f"it with: GRANT EXECUTE ON FUNCTION pg_control_system() TO {role};"
        )
    if own != repository.system_identifier:
        raise OperationFailed(
            f"Stanza {repository.stanza} belongs to the cluster {repository.system_identifier}, but "
            f"{job.target.name} is on the cluster {own}. Nothing was done. Set the stanza whose pg1-path is "
            "this server's data directory in the target's settings."
        )
    job.log(
        f"Stanza {repository.stanza} belongs to this cluster ({own}): "
        f"{pluralize(len(repository.entries), 'backup')} in the repository."
    )
    _expire_missing(job, repository, recorded)
    return repository


def on_record(job: Job, repository: Repository) -> dict[str, KeptBackup]:
    """Return the backups on record that belong to the repository, by label."""
    return _of_repository(repository, job.backup_catalog.physical())


def _of_repository(repository: Repository, recorded: Iterable[KeptBackup]) -> dict[str, KeptBackup]:
    return {
        str(kept.details["label"]): kept
        for kept in recorded
        if kept.details.get("stanza") == repository.stanza
        and kept.details.get("system_identifier") == repository.system_identifier
    }


def path_of(stanza: str, entry: Entry) -> Path:
    """Return the folder of a backup, relative to the path of its repository."""
    return Path("backup", stanza, entry.label)


def digest_of_manifest(program: PgBackRest, entry: Entry) -> str:
    """Return the SHA-256 of a backup's stored manifest, which contains the checksum of every file."""
    digest = hashlib.sha256()
    path = path_of(program.engine.stanza, entry) / "backup.manifest"
    program.stream("repo-get", "--raw", f"--repo={entry.database.repo}", str(path), on_chunk=digest.update)
    return digest.hexdigest()


def damaged_pages(program: PgBackRest, entry: Entry) -> list[Any]:
    """Return the files in which pgBackRest found pages with invalid checksums."""
    output = program.output("info", "--output=json", f"--set={entry.label}", f"--repo={entry.database.repo}")
    stanzas = TypeAdapter(list[dict[str, Any]]).validate_json(output)
    listed = [backup.get("error-list") or [] for stanza in stanzas for backup in stanza.get("backup", [])]
    return [name for names in listed for name in names]


def _expire_missing(job: Job, repository: Repository, recorded: Iterable[KeptBackup]) -> None:
    """Expire the backups on record that pgBackRest's retention removed from its repository."""
    if not repository.is_complete:
        return
    for label, kept in _of_repository(repository, recorded).items():
        if repository.find(label) is None:
            job.backup_catalog.expire(kept, "pgBackRest's own retention removed it from its repository")
            job.log(f"{kept.name} is no longer in the repository: pgBackRest expired it.")
