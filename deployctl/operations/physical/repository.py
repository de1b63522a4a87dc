"""What is in a pgBackRest repository, as `info --output=json` tells it, and whether it is the target's."""

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
# Status codes of `info` (pgBackRest's src/command/info/info.c): what it lists then is all there is.
OK, NO_BACKUPS = 0, 2
MIXED = 4


class _Range(BaseModel):
    start: str
    stop: str


class _Times(BaseModel):
    start: int
    stop: int


class _RepositorySize(BaseModel):
    delta: int
    size: int | None = None  # left out where blocks are shared between backups


class _Sizes(BaseModel):
    size: int
    delta: int
    repository: _RepositorySize


class _Database(BaseModel):
    id: int
    repo: int = Field(alias="repo-key")


class Entry(BaseModel):
    """A backup in the repository."""

    label: str
    type: str
    archive: _Range
    lsn: _Range
    timestamp: _Times
    info: _Sizes
    database: _Database
    reference: list[str] | None = None
    error: bool | None = None  # pages with wrong checksums; None where the cluster has none

    @property
    def stopped_at(self) -> dt.datetime:
        """When it ended: from then on it can be restored."""
        return dt.datetime.fromtimestamp(self.timestamp.stop, dt.UTC)

    def details(self, *, stanza: str, system_identifier: str) -> dict[str, Json]:
        """What the record keeps of it."""
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
    """A stanza's backups, oldest first. `is_complete`: every repository answered."""

    stanza: str
    system_identifier: str
    server_version: str
    entries: tuple[Entry, ...]
    is_complete: bool

    def find(self, label: str) -> Entry | None:
        """The backup of a label."""
        return next((entry for entry in self.entries if entry.label == label), None)


def read(program: PgBackRest) -> Repository:
    """Ask pgBackRest what there is.

    Raises:
        OperationFailed: the stanza is not there, or cannot be read.
    """
    return parse(program.answer("info", "--output=json"), stanza=program.engine.stanza)


def parse(answer: bytes, *, stanza: str) -> Repository:
    """Read what `info --output=json` printed.

    Raises:
        OperationFailed: the stanza is not there, or cannot be read.
    """
    try:
        found = next(one for one in TypeAdapter(list[_Stanza]).validate_json(answer) if one.name == stanza)
    except (ValidationError, StopIteration) as error:
        raise OperationFailed(
            f"pgBackRest's info does not tell of stanza {stanza} in a form that is known. Nothing was "
            "changed."
        ) from error
    if found.status.code not in {OK, NO_BACKUPS, MIXED} or not found.db:
        raise OperationFailed(
            f"pgBackRest says of stanza {stanza}: {found.status.message}. Nothing was changed. Is the "
            "stanza's name right, is its repository reached, and was it made with `pgbackrest stanza-create`?"
        )
    newest = found.db[-1]  # earlier ones are the cluster before an upgrade
    return Repository(
        stanza=stanza,
        system_identifier=str(newest.system_identifier),
        server_version=newest.version,
        entries=tuple(found.backup),
        is_complete=found.status.code != MIXED,
    )


def read_own(job: Job, program: PgBackRest, session: psycopg.Connection) -> Repository:
    """The repository, after making sure that it is of the target's own cluster.

    A stanza is only a name: what it is of is told by the cluster's system identifier, as the target is. The
    record is brought up to date on the way.

    Args:
        session: on the target.

    Raises:
        OperationFailed: as `read`, or it is another cluster's.
    """
    # Before the repository is read: what another run records meanwhile is no backup that is missing there.
    recorded = job.backup_catalog.physical()
    repository = read(program)
    own = server.identity(session).system_identifier
    if own is None:
        role = psycopg.sql.Identifier(job.target.connection.user).as_string()
        raise OperationFailed(
            f"Role {job.target.connection.user} may not read the cluster's system identifier, so nobody can "
            f"tell whether stanza {repository.stanza} is of this cluster. Nothing was done. Permit it: GRANT "
            f"EXECUTE ON FUNCTION pg_control_system() TO {role};"
        )
    if own != repository.system_identifier:
        raise OperationFailed(
            f"Stanza {repository.stanza} is of the cluster {repository.system_identifier}, but "
            f"{job.target.name} is on the cluster {own}. Nothing was done. Name the stanza whose pg1-path is "
            "this server's data directory."
        )
    job.log(
        f"Stanza {repository.stanza} is of this cluster ({own}): "
        f"{pluralize(len(repository.entries), 'backup')} in the repository."
    )
    _expire_missing(job, repository, recorded)
    return repository


def on_record(job: Job, repository: Repository) -> dict[str, KeptBackup]:
    """The backups on record that the repository should have, by label."""
    return _of_repository(repository, job.backup_catalog.physical())


def _of_repository(repository: Repository, recorded: Iterable[KeptBackup]) -> dict[str, KeptBackup]:
    return {
        str(kept.details["label"]): kept
        for kept in recorded
        if kept.details.get("stanza") == repository.stanza
        and kept.details.get("system_identifier") == repository.system_identifier
    }


def path_of(stanza: str, entry: Entry) -> Path:
    """Where a backup lies below the path of its repository."""
    return Path("backup", stanza, entry.label)


def digest_of_manifest(program: PgBackRest, entry: Entry) -> str:
    """SHA-256 of a backup's manifest as it is stored; the manifest holds the checksum of every file."""
    digest = hashlib.sha256()
    path = path_of(program.engine.stanza, entry) / "backup.manifest"
    program.read("repo-get", "--raw", f"--repo={entry.database.repo}", str(path), take=digest.update)
    return digest.hexdigest()


def damaged_pages(program: PgBackRest, entry: Entry) -> list[Any]:
    """The files in which pgBackRest met pages with wrong checksums, as it names them."""
    answer = program.answer("info", "--output=json", f"--set={entry.label}", f"--repo={entry.database.repo}")
    stanzas = TypeAdapter(list[dict[str, Any]]).validate_json(answer)
    listed = [backup.get("error-list") or [] for stanza in stanzas for backup in stanza.get("backup", [])]
    return [name for names in listed for name in names]


def _expire_missing(job: Job, repository: Repository, recorded: Iterable[KeptBackup]) -> None:
    """What pgBackRest's own retention removed is expired on record, too."""
    if not repository.is_complete:
        return  # a repository that does not answer has lost nothing
    for label, kept in _of_repository(repository, recorded).items():
        if repository.find(label) is None:
            job.backup_catalog.expire(kept, "pgBackRest's own retention removed it from its repository")
            job.log(f"{kept.name} is not in the repository any more: pgBackRest expired it.")
