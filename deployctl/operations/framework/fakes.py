"""A fake job for tests, with real programs and sessions, that collects what is reported."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from deployctl.operations.application.project import Project
from deployctl.operations.framework import subprocess_runner
from deployctl.operations.framework.base import Cancelled, TargetFacts
from deployctl.operations.physical.engine import Engine
from deployctl.postgres import connection as postgres_connection
from deployctl.postgres.connection import ConnectionSpec
from deployctl.postgres.process import Completed
from deployctl.secrets import Secret, SecretError
from deployctl.storage import LocalFolder, Uploads


@dataclass(frozen=True)
class Progress:
    """A progress report."""

    done: int
    total: int | None
    unit: str
    phase: str


_run_ids = itertools.count(os.getpid() * 1_000)


@dataclass
class FakeJob:
    """An implementation of `framework.base.Job` without deployctl's database.

    Args:
        connection: the target.
        project: the application's project, if the operation needs one.
        params: the operation's Params.
        tmp_path: the folder for backups.
        secrets: by name.
        uploads: by default beside the backups, with a limit of 1 GB.
        time_limit_s: for each program.
    """

    connection: ConnectionSpec
    project: Project | None = None
    params: Any = None
    tmp_path: Path | None = None
    secrets: Mapping[str, str] = field(default_factory=dict)
    name: str = "shop"
    environment: str = "staging"
    backup_catalog: Any = None
    uploads: Uploads | None = None
    physical: Engine | None = None
    # Unique among parallel tests, because sessions are found by it.
    run_id: int = field(default_factory=lambda: next(_run_ids))
    token: int = 1
    time_limit_s: float = 60

    lines: list[tuple[str, str]] = field(default_factory=list)
    output: bytearray = field(default_factory=bytearray)
    steps: list[tuple[str, str]] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)
    cancel_reason: str | None = None

    def __post_init__(self) -> None:
        self.application_name = f"deployctl:{self.run_id}:{self.token}"
        folder = (self.tmp_path or Path("/nonexistent")) / "backups"
        if self.tmp_path is not None:
            folder.mkdir(exist_ok=True)
        self.target = TargetFacts(
            name=self.name,
            environment=self.environment,
            connection=self.connection,
            project=self.project,
            backups=LocalFolder(folder),
            uploads=self.uploads
            or Uploads(LocalFolder(folder), max_bytes=1 << 30, max_unpacked_bytes=1 << 30),
            physical=self.physical,
        )
        self._sessions: list[psycopg.Connection] = []
        self._lock = threading.Lock()
        weakref.finalize(self, _close_all, self._sessions)

    def log(self, text: str, *, level: str = "info") -> None:
        self.lines.append((level, text))

    @property
    def text(self) -> str:
        """Return the log, one line per message."""
        return "\n".join(text for _, text in self.lines)

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        self.raise_if_cancelled()
        try:
            yield
        except BaseException:
            self.steps.append((name, "failed"))
            raise
        self.steps.append((name, "succeeded"))

    def advance(self, done: int, total: int | None, *, unit: str, phase: str = "") -> None:
        self.progress.append(Progress(done, total, unit, phase))

    def cancel(self, reason: str = "cancelled by a test") -> None:
        """Cancel the run as a person does: from another thread or a callback."""
        with self._lock:
            self.cancel_reason = reason
            for session in self._sessions:
                with contextlib.suppress(psycopg.Error):
                    session.cancel_safe()

    def raise_if_cancelled(self) -> None:
        if self.cancel_reason is not None:
            raise Cancelled(self.cancel_reason)

    def secret(self, name: str) -> Secret:
        if name not in self.secrets:
            raise SecretError(f"The target has no secret {name}. Add it to the target.")
        return Secret(self.secrets[name])

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
        self.raise_if_cancelled()
        return subprocess_runner.execute(
            argv,
            application_name=self.application_name,
            timeout_s=self.time_limit_s,
            should_stop=lambda: self.cancel_reason,
            on_output=[
                lambda stream, chunk: self.output.extend(chunk if log_stdout or stream == "stderr" else b""),
                *([on_output] if on_output else []),
            ],
            while_running=while_running,
            env=env,
            cwd=cwd,
            connection=connection,
            pass_url=pass_url,
        )

    def connect(self, *, dbname: str | None = None, **options: Any) -> psycopg.Connection:
        self.raise_if_cancelled()
        spec = self.connection if dbname is None else self.connection.with_database(dbname)
        session = postgres_connection.connect(spec, application_name=self.application_name, **options)
        with self._lock:
            self._sessions.append(session)
        return session

    def close(self) -> None:
        """Close all sessions, as the end of a run does; also called when the job is garbage-collected."""
        _close_all(self._sessions)


def _close_all(sessions: list[psycopg.Connection]) -> None:
    for session in sessions:
        session.close()
