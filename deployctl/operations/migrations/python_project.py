"""Migration tools of a Python project: run by its Python, checked against their table in the target."""

from __future__ import annotations

import abc
import dataclasses
import json
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, ClassVar

import psycopg
from psycopg import sql

from deployctl.operations.application.project_helpers import read_only_session
from deployctl.operations.framework.base import Job, OperationFailed, ProcessFailed
from deployctl.operations.framework.postgres_errors import failure_on_error
from deployctl.operations.migrations.base import (
    LOCK_TIMEOUT_S,
    UNREADABLE,
    Migrator,
    Status,
    progress_reporter,
    progress_so_far,
    refuse_unless_ready,
)
from deployctl.operations.migrations.lock_observers import LockWatch
from deployctl.operations.migrations.session_limits import session_limits
from deployctl.postgres.connection import ConnectionSpec
from deployctl.text import pluralize

MARK = "deployctl-answer:"  # projects print what they like; this line is ours
LARGEST_ANSWER_BYTES = 16 * 1024 * 1024
LAST_WORDS_BYTES = 16 * 1024
# The line with which Python ends a traceback. Not PostgreSQL's DETAIL and HINT, which are capitals only.
EXCEPTION = re.compile(r"^((?:\w+\.)*[A-Z]\w*[a-z]\w*: .+)$", re.MULTILINE)


class PythonProject(Migrator):
    """A tool that is run by the project's own Python, in the folder that holds its `main_file`."""

    default_folder: ClassVar[str] = "."
    main_file: ClassVar[str]
    upgrade: ClassVar[Sequence[str]]  # arguments to Python that apply everything

    @abc.abstractmethod
    def applied(self, connection: psycopg.Connection, wanted: Collection[str]) -> list[str]:
        """Return the migrations that the tool's own table in the target has as applied.

        Args:
            wanted: the names to look for.
        """

    def apply(self, job: Job) -> Sequence[str]:
        """Let the tool apply everything pending at once, and report progress from its table."""
        with job.step("Ask for the migration status"):
            before = self.status(job)
            refuse_unless_ready(before)
        if not before.pending:
            return []
        words = _StderrTail()
        with (
            job.step(f"Apply {pluralize(len(before.pending), 'migration')} ({self.title})"),
            LockWatch(job) as watch,
        ):
            try:
                self.run(job, *self.upgrade, on_output=words.read, while_running=self._progress(job, before))
            except ProcessFailed as failure:
                reason = words.exception or failure.message
                raise OperationFailed(self._what_failed(job, before, reason, watch)) from failure
        done = self._newly_applied(job, before)
        job.advance(len(done), len(before.pending), unit="migrations")
        if not done:
            raise OperationFailed(
                f"{self.title} ended without an error, but the target's own records say that nothing was "
                "applied. Does the project read DATABASE_URL? It may have migrated another database."
            )
        return done

    def run(
        self,
        job: Job,
        *arguments: str,
        on_output: Callable[[str, bytes], None] | None = None,
        while_running: Callable[[], None] | None = None,
    ) -> None:
        """Run the project's Python; `DATABASE_URL` reaches that program alone."""
        folder = self.main_folder()
        job.execute(
            [*self.project.command("python"), *arguments],
            cwd=folder,
            env={"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1"},
            connection=_connection(job),
            pass_url=True,
            on_output=on_output,
            while_running=while_running,
        )

    def main_folder(self) -> Path:
        """Return the folder in which the tool is run.

        Raises:
            OperationFailed: it does not contain the main file.
        """
        folder = self.folder
        if not (folder / self.main_file).is_file():
            raise OperationFailed(
                f"{folder} has no {self.main_file}. Nothing was changed. "
                "Name the folder that has it in deployctl.toml as migrations.folder."
            )
        return folder

    def ask(self, job: Job, *arguments: str) -> dict[str, Any]:
        """Run a program that prints one line of JSON after `MARK`.

        Raises:
            OperationFailed: it failed, or its answer cannot be read.
        """
        said = bytearray()

        def keep(stream: str, chunk: bytes) -> None:
            if stream == "stdout" and len(said) < LARGEST_ANSWER_BYTES:
                said.extend(chunk)

        try:
            self.run(job, *arguments, on_output=keep)
        except ProcessFailed as failure:
            raise OperationFailed(
                f"The project could not be asked for its migrations: {failure.message}"
            ) from failure
        for line in said.decode("utf-8", errors="replace").splitlines():
            if line.startswith(MARK):
                answer: dict[str, Any] = json.loads(line.removeprefix(MARK))
                return answer
        raise OperationFailed("The project was asked for its migrations and gave no answer.")

    def _newly_applied(self, job: Job, before: Status) -> list[str]:
        with failure_on_error(job, UNREADABLE), read_only_session(job) as connection:
            applied = self.applied(connection, before.pending)
        return [name for name in before.pending if name in applied]

    def _progress(self, job: Job, before: Status) -> Callable[[], None]:
        connection = read_only_session(job)
        return progress_reporter(job, before.pending, lambda: self.applied(connection, before.pending))

    def _what_failed(self, job: Job, before: Status, reason: str, watch: LockWatch) -> str:
        done = self._newly_applied(job, before)
        next_one = next((name for name in before.pending if name not in done), "")
        waited = ""
        if "lock timeout" in reason or "LockNotAvailable" in reason:
            waited = f" It waited {LOCK_TIMEOUT_S} s for a lock.{watch.held_by}"
        return (
            f"{self.title} failed: {reason.rstrip('.')}.{waited} Not applied: {next_one} and what "
            f"follows it; it is undone unless it has transactions of its own. {progress_so_far(done)}"
        )


class _StderrTail:
    """The end of what a program writes to standard error, and the exception that a traceback ends with."""

    def __init__(self) -> None:
        self._tail = b""

    def read(self, stream: str, chunk: bytes) -> None:
        if stream == "stderr":
            self._tail = (self._tail + chunk)[-LAST_WORDS_BYTES:]

    @property
    def exception(self) -> str | None:
        """Such as "psycopg.errors.SyntaxError: …", on one line; None where it ended without one."""
        found = EXCEPTION.findall(self._tail.decode("utf-8", errors="replace"))
        return "".join(c if c.isprintable() else " " for c in found[-1])[:500] if found else None


def _connection(job: Job) -> ConnectionSpec:
    """As libpq understands it: Prisma's `schema` becomes a search_path, its other parameters stay out."""
    schema = job.target.connection.options.get("schema")
    settings = []
    if schema is not None:
        quoted = sql.Identifier(schema).as_string()
        settings.append("search_path=" + quoted.replace("\\", "\\\\").replace(" ", "\\ "))
    limited = session_limits(job, LOCK_TIMEOUT_S, *settings)
    return dataclasses.replace(limited, options=limited.libpq_options)
