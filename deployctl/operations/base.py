"""What an operation is, what it is given, and what it hands back.

An operation is a class in a file of `kinds/`. It never touches the application's own database: everything
it needs comes through a `Job`, so that tests drive it with `operations.testing.FakeJob`.
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
from deployctl.operations.parameters import param, parse
from deployctl.operations.physical.engine import Engine
from deployctl.operations.shelf import Shelf
from deployctl.postgres.connection import ConnectionSpec
from deployctl.postgres.process import Completed
from deployctl.secrets import Secret
from deployctl.storage import LocalFolder, Uploads

if TYPE_CHECKING:
    from deployctl.operations.project import Project

__all__ = [
    "BackupArtefact",
    "Cancelled",
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
    """An operation could not do its work; the message says what state the target is in."""


class Cancelled(Exception):
    """The run was cancelled. Operations let it pass; the supervisor records it."""


class ProcessFailed(OperationFailed):
    """A program ended with a failure.

    Args:
        program: its name, without folder.
        completed: how it ended.
        last_words: the end of what it wrote to standard error.
    """

    def __init__(self, program: str, completed: Completed, last_words: str = "") -> None:
        self.program = program
        self.completed = completed
        self.last_words = last_words.strip()
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        if self.completed.stopped is not None:
            how = f"was stopped after {self.completed.duration_s:.0f} s ({self.completed.stopped})"
        elif self.completed.signal is not None:
            how = f"was ended by signal {self.completed.signal}"
        else:
            how = f"failed with exit status {self.completed.exit_status}"
        return f"{self.program} {how}" + (f". It said: {self.last_words}" if self.last_words else ".")


@dataclass(frozen=True)
class BackupArtefact:
    """A published backup.

    Args:
        path: of a dump its folder; of a physical backup where it lies below its engine's repository.
        format: of a dump, such as "directory"; of a physical backup its type, such as "incr".
        counts: "schema.table" to rows, taken in the dump's own snapshot.
        engine: what made it, and reads it: "pg_dump" or "pgbackrest".
        reached: levels of trust that the making itself reached.
        details: what only this engine knows of its backups.
        uploaded_from: the name of the file that somebody sent in, "" for a backup of ours.
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
    reached: Sequence[str] = ("written", "hashed")
    details: Mapping[str, Json] = field(default_factory=dict)
    uploaded_from: str = ""


@dataclass(frozen=True)
class Outcome:
    """What a succeeded operation reports.

    Args:
        summary: one sentence for people.
        facts: figures for proofs, checks and scripts.
        artefact: the backup that was made, if one was.
        trust: levels of trust that backups of the target reached, by their name.
        database_oid: of the database that stands in the target's place from now on, if it was replaced.
    """

    summary: str
    facts: Mapping[str, Json] = field(default_factory=dict)
    artefact: BackupArtefact | None = None
    trust: Mapping[str, Sequence[str]] = field(default_factory=dict)
    database_oid: int | None = None


@dataclass(frozen=True)
class TargetFacts:
    """What an operation knows about the target. `connection` holds the password: never log it."""

    name: str
    environment: str
    connection: ConnectionSpec
    project: Project | None
    backups: LocalFolder
    uploads: Uploads
    physical: Engine | None = None

    @property
    def is_production(self) -> bool:
        """Whether changing it asks for more; `runs.models.Environment` has the same word."""
        return self.environment == "production"


class Job(Protocol):
    """What a run offers to its operation.

    Called from one thread, except `raise_if_cancelled`, `log` and `execute`.
    """

    run_id: int
    token: int
    application_name: str  # "deployctl:<installation>:<run>:<token>"; finds the run's sessions on the target
    params: Any  # the operation's own Params
    target: TargetFacts
    shelf: Shelf  # the record of the target's backups

    def log(self, text: str, *, level: str = "info") -> None:
        """Write a line; level is info, warning or error."""

    def step(self, name: str) -> AbstractContextManager[None]:
        """A numbered step of the run; an exception inside marks it failed and passes on."""

    def advance(self, done: int, total: int | None, *, unit: str, phase: str = "") -> None:
        """Report progress: `total` is None where it is not known. Units: bytes, rows, tables, migrations."""

    def raise_if_cancelled(self) -> None:
        """Raises Cancelled once somebody cancelled the run, or its lease was lost."""

    def secret(self, name: str) -> Secret:
        """A secret of the target by name. Raises SecretError where it is missing."""

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
            env: added to the environment built for the program.
            cwd: folder to run in.
            connection: the database that libpq programs reach; no password in argv or environment.
            pass_url: give the program `DATABASE_URL` with the password, for those that need it.
            log_stdout: False keeps its standard output out of the log, where it is data for `on_output`.
            on_output: also called with "stdout" or "stderr" and each chunk of bytes.
            while_running: called several times a second in this thread, for progress.

        Raises:
            ProcessFailed: it ended with anything but exit status 0.
            Cancelled: the run was cancelled meanwhile; the program and its sessions are gone.
        """

    def connect(self, *, dbname: str | None = None, **options: Any) -> psycopg.Connection:
        """A session on the target, closed at the end of the run and ended by cancelling.

        Args:
            dbname: another database of the same server.
            options: as `postgres.connection.connect` takes them.
        """


class Operation(abc.ABC):
    """Something the machine does to a target.

    Exactly one subclass per file of `kinds/`, the file named after `kind`. The web form, the command line,
    the template language and the documentation are made from the class.
    """

    kind: ClassVar[str]
    title: ClassVar[str]
    help: ClassVar[str]
    changes_target: ClassVar[bool]  # a worker lost in the middle leaves the run `unknown`
    exclusive: ClassVar[bool]  # one at a time per target
    time_limit_s: ClassVar[int]
    # Whether people start it by itself. What begins with something else, as a file sent in, has no button.
    offered: ClassVar[bool] = True
    physical: ClassVar[bool] = False  # needs a target with a physical engine
    # On production it starts only when two people stand behind it, and then also without a deployment.
    needs_second_person: ClassVar[bool] = False
    # What of the target is lost or replaced, in sentences with {target}; whoever starts it confirms them.
    overwrites: ClassVar[str] = ""
    # The parameter that says what with: then it is chosen when it is asked for, not when it starts.
    named_to_second_person: ClassVar[str] = ""

    @dataclass(frozen=True)
    class Params:
        """None, unless the operation declares its own."""

    @classmethod
    def parse_params(cls, values: Mapping[str, object]) -> Any:
        """Make Params from a form, a command line or a template.

        Raises:
            InvalidInput: naming the parameter and what it takes.
        """
        return parse(cls.Params, values, subject=cls.kind)

    @abc.abstractmethod
    def perform(self, job: Job) -> Outcome:
        """Do it. A return means: done, its result checked, its artefact read back.

        Raises:
            DeployctlError: it could not be done; the message says why and what state the target is in.
            Cancelled: somebody cancelled the run.
        """
