"""The framework of operations: the operation, its job and its outcome.

An operation is a class in a file of `kinds/`. It never touches deployctl's own database: everything it needs
comes through a `Job`, so that tests run it with `framework.fakes.FakeJob`.
"""

from __future__ import annotations

import abc
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias

import psycopg

from deployctl.errors import DeployctlError
from deployctl.operations.backup.retention import KeptBackup, Policy, Trust
from deployctl.operations.framework.parameters import param, parse
from deployctl.operations.physical.engine import Engine
from deployctl.postgres.connection import ConnectionSpec
from deployctl.postgres.process import Completed
from deployctl.secrets import Secret
from deployctl.storage import LocalFolder, Uploads
from deployctl.storage.stores import Store

if TYPE_CHECKING:  # a project imports the migration tools, which import this module
    from deployctl.operations.application.project import Project

__all__ = [
    "BackupArtefact",
    "BackupCatalog",
    "Cancelled",
    "CopyResult",
    "Job",
    "Json",
    "Operation",
    "OperationFailed",
    "Outcome",
    "ProcessFailed",
    "TargetFacts",
    "param",
]

PG_DUMP, PGBACKREST = "pg_dump", "pgbackrest"

Json: TypeAlias = "str | int | float | bool | Sequence[Json] | Mapping[str, Json] | None"


class OperationFailed(DeployctlError):
    """An operation failed; the message includes the state of the target."""


class Cancelled(Exception):
    """The run was cancelled. Operations must not catch it; the supervisor records it."""


class ProcessFailed(OperationFailed):
    """A program failed.

    Args:
        program: its name, without folder.
        completed: its exit status or signal.
        stderr_tail: the end of its standard error.
    """

    def __init__(self, program: str, completed: Completed, stderr_tail: str = "") -> None:
        self.program = program
        self.completed = completed
        self.stderr_tail = stderr_tail.strip()
        super().__init__(self._message())

    def _message(self) -> str:
        if self.completed.stopped is not None:
            what = f"was stopped after {self.completed.duration_s:.0f} s ({self.completed.stopped})"
        elif self.completed.signal is not None:
            what = f"was ended by signal {self.completed.signal}"
        else:
            what = f"failed with exit status {self.completed.exit_status}"
        return f"{self.program} {what}" + (f": {self.stderr_tail}" if self.stderr_tail else ".")


@dataclass(frozen=True)
class BackupArtefact:
    """A published backup.

    Args:
        path: the folder of a dump; the path of a physical backup in the repository of its engine.
        format: such as "directory" for a dump; the type of a physical backup, such as "incr".
        counts: "schema.table" to rows, taken in the dump's own snapshot.
        engine: the program that made it and reads it: "pg_dump" or "pgbackrest".
        reached: its trust levels when it is made.
        details: facts specific to the engine.
        uploaded_from: the name of the uploaded file, "" for a backup made here.
    """

    name: str
    path: Path
    format: str
    size_bytes: int
    files: int
    server_version: str
    tool_version: str
    snapshot_at: dt.datetime
    manifest_sha256: str
    counts: Mapping[str, int]
    engine: str = PG_DUMP
    reached: Sequence[str] = (Trust.WRITTEN, Trust.HASHED)
    details: Mapping[str, Json] = field(default_factory=dict)
    uploaded_from: str = ""


@dataclass(frozen=True)
class CopyResult:
    """A copy of a backup that was read back; `digest` is the SHA-256 of its list of objects."""

    key: str
    digest: str
    size_bytes: int
    written_at: dt.datetime


@dataclass(frozen=True)
class Outcome:
    """The result of a successful operation.

    Args:
        summary: one sentence for people.
        facts: figures for proofs, checks and scripts.
        artefact: the backup that was made, if any.
        trust: the trust levels that backups of the target reached, by the backup's name.
        database_oid: the OID of the database that replaced the target's, if it was replaced.
    """

    summary: str
    facts: Mapping[str, Json] = field(default_factory=dict)
    artefact: BackupArtefact | None = None
    trust: Mapping[str, Sequence[str]] = field(default_factory=dict)
    database_oid: int | None = None


@dataclass(frozen=True)
class TargetFacts:
    """The target as an operation sees it. Never log `connection`, which includes the password."""

    name: str
    environment: str
    connection: ConnectionSpec
    project: Project | None
    backups: LocalFolder
    uploads: Uploads
    physical: Engine | None = None

    @property
    def is_production(self) -> bool:
        """Return True if changes require approval; `runs.models.Environment` has the same value."""
        return self.environment == "production"


class BackupCatalog(Protocol):
    """The recorded backups of a run's target, kept by `runs`. Writes fail once the run has lost its lease."""

    def policy(self) -> Policy:
        """Return the target's retention policy."""

    def backups(self) -> tuple[KeptBackup, ...]:
        """Return the dumps that have not expired, newest first."""

    def physical(self) -> tuple[KeptBackup, ...]:
        """Return the physical backups that have not expired, newest first."""

    def expired(self) -> frozenset[str]:
        """Return the names of the expired dumps."""

    def expire(self, backup: KeptBackup, reason: str) -> None:
        """Record that a backup's files were removed, by this run or by the engine."""

    def record_outcome(self, part: Outcome) -> None:
        """Record the result of a part of the run now, so that it remains if the run fails later.

        Args:
            part: its artefact, trust and database are recorded; its summary and facts are not.
        """

    def stores(self) -> Mapping[str, Store]:
        """Return the offsite stores of this installation by name.

        Raises:
            DeployctlError: the configuration of a store is invalid.
        """

    def copied(self, store: str) -> frozenset[str]:
        """Return the names of the backups that have a verified copy in a store."""

    def record_copy(self, backup: KeptBackup, *, store: Store, result: CopyResult) -> None:
        """Record a copy after it was read back."""


class Job(Protocol):
    """The interface of a run for its operation.

    All methods are called from one thread, except `raise_if_cancelled`, `log` and `execute`.
    """

    run_id: int
    token: int
    application_name: str  # "deployctl:<installation>:<run>:<token>"; identifies the run's sessions
    params: Any  # the operation's own Params
    target: TargetFacts
    backup_catalog: BackupCatalog  # the recorded backups of the target

    def log(self, text: str, *, level: str = "info") -> None:
        """Write a line; level is info, warning or error."""

    def step(self, name: str) -> AbstractContextManager[None]:
        """Run a numbered step; an exception inside marks it as failed and propagates."""

    def advance(self, done: int, total: int | None, *, unit: str, phase: str = "") -> None:
        """Report progress. `total` is None if it is unknown. Units: bytes, rows, tables, migrations."""

    def raise_if_cancelled(self) -> None:
        """Raise Cancelled once the run was cancelled or lost its lease."""

    def secret(self, name: str) -> Secret:
        """Return a secret of the target by name. Raise SecretError if it is missing."""

    def execute(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        connection: ConnectionSpec | None = None,
        pass_url: bool = False,
        log_stdout: bool = True,
        on_output: Callable[[str, bytes], None] | None = None,
        while_running: Callable[[], None] | None = None,
    ) -> Completed:
        """Run a program to its end; its output goes to the log.

        Args:
            argv: program and arguments.
            env: variables to add to the program's environment.
            cwd: the working directory.
            connection: the database for libpq programs; the password is in neither argv nor environment.
            pass_url: also set `DATABASE_URL` with the password, for programs that need it.
            log_stdout: False if the standard output is data for `on_output`, not text for the log.
            on_output: also called with "stdout" or "stderr" and each chunk of bytes.
            while_running: called several times a second in this thread, for progress.

        Raises:
            ProcessFailed: the exit status is not 0.
            Cancelled: the run was cancelled; the program and its sessions have ended.
        """

    def connect(self, *, dbname: str | None = None, **options: Any) -> psycopg.Connection:
        """Open a session on the target, which is closed when the run ends or is cancelled.

        Args:
            dbname: another database of the same server.
            options: see `postgres.connection.connect`.
        """


class Operation(abc.ABC):
    """An operation on a target.

    Each file of `kinds/` has exactly one subclass and is named after its `kind`. The web form, the command
    line, the template language and the documentation are generated from the class.
    """

    kind: ClassVar[str]
    title: ClassVar[str]
    help: ClassVar[str]
    changes_target: ClassVar[bool]  # if the worker is lost, the run becomes `unknown`
    exclusive: ClassVar[bool]  # only one such run per target at a time
    time_limit_s: ClassVar[int]
    # False for operations that another form starts, such as the import of an uploaded file.
    has_button: ClassVar[bool] = True
    physical: ClassVar[bool] = False  # only for targets with a physical backup engine
    # Requires dual approval on production, and then no deployment.
    needs_second_person: ClassVar[bool] = False
    # What the operation replaces or deletes, for the confirmation; {target} is the target's name.
    overwrites: ClassVar[str] = ""
    # The parameter that the second person approves: its value is chosen when the run is requested.
    consent_parameter: ClassVar[str] = ""

    @dataclass(frozen=True)
    class Params:
        """No parameters, unless the operation declares its own."""

    @classmethod
    def parse_params(cls, values: Mapping[str, object]) -> Any:
        """Return Params made from a form, a command line or a template.

        Raises:
            InvalidInput: a value is invalid; the message has the parameter and its allowed values.
        """
        return parse(cls.Params, values, subject=cls.kind)

    @abc.abstractmethod
    def perform(self, job: Job) -> Outcome:
        """Perform the operation, check the result, and read the artefact back.

        Raises:
            DeployctlError: it failed; the message has the cause and the target's state.
            Cancelled: the run was cancelled.
        """
