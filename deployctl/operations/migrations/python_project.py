"""Run the migration tool of a Python project, and check its result against its table in the target."""

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

MARK = "deployctl-answer:"  # distinguishes the result from other output of the project
LARGEST_OUTPUT_BYTES = 16 * 1024 * 1024
TAIL_BYTES = 16 * 1024
# The last line of a Python traceback, but not PostgreSQL's DETAIL and HINT, which are in upper case.
EXCEPTION = re.compile(r"^((?:\w+\.)*[A-Z]\w*[a-z]\w*: .+)$", re.MULTILINE)


class PythonProject(Migrator):
    """A tool that the project's own Python runs in the folder of its `main_file`."""

    default_folder: ClassVar[str] = "."
    main_file: ClassVar[str]
    upgrade: ClassVar[Sequence[str]]  # Python's arguments to apply all migrations

    @abc.abstractmethod
    def applied(self, connection: psycopg.Connection, names: Collection[str]) -> list[str]:
        """Return those of the named migrations that the tool's table in the target records as applied."""

    def apply(self, job: Job) -> Sequence[str]:
        """Apply all pending migrations with the tool, and report progress from its table."""
        with job.step("Check the migration status"):
            before = self.status(job)
            refuse_unless_ready(before)
        if not before.pending:
            return []
        stderr = _StderrTail()
        with (
            job.step(f"Apply {pluralize(len(before.pending), 'migration')} ({self.title})"),
            LockWatch(job) as watch,
        ):
            try:
                self.run(job, *self.upgrade, on_output=stderr.read, while_running=self._progress(job, before))
            except ProcessFailed as failure:
                reason = stderr.exception or failure.message
                raise OperationFailed(self._failure_message(job, before, reason, watch)) from failure
        done = self._newly_applied(job, before)
        job.advance(len(done), len(before.pending), unit="migrations")
        if not done:
            raise OperationFailed(
                f"{self.title} ended without an error, but the target's records show no new migrations. "
                "It may have migrated another database: check that the project uses DATABASE_URL."
            )
        return done

    def run(
        self,
        job: Job,
        *arguments: str,
        on_output: Callable[[str, bytes], None] | None = None,
        while_running: Callable[[], None] | None = None,
    ) -> None:
        """Run the project's Python with `DATABASE_URL` in its environment."""
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
        """Return the folder in which the tool runs.

        Raises:
            OperationFailed: it doesn't contain the main file.
        """
        folder = self.folder
        if not (folder / self.main_file).is_file():
            raise OperationFailed(
                f"{folder} has no {self.main_file}. Nothing was changed. "
                "Set migrations.folder in deployctl.toml to the folder that contains it."
            )
        return folder

    def run_json(self, job: Job, *arguments: str) -> dict[str, Any]:
        """Run a Python script that prints a line of JSON after `MARK`, and return the object.

        Raises:
            OperationFailed: the script failed, or printed no such line.
        """
        output = bytearray()

        def collect(stream: str, chunk: bytes) -> None:
            if stream == "stdout" and len(output) < LARGEST_OUTPUT_BYTES:
                output.extend(chunk)

        try:
            self.run(job, *arguments, on_output=collect)
        except ProcessFailed as failure:
            raise OperationFailed(
                f"The project's migrations could not be listed: {failure.message}"
            ) from failure
        for line in output.decode("utf-8", errors="replace").splitlines():
            if line.startswith(MARK):
                result: dict[str, Any] = json.loads(line.removeprefix(MARK))
                return result
        raise OperationFailed(
            "The project's migrations could not be listed: its Python ended without an error, but printed no "
            "result."
        )

    def _newly_applied(self, job: Job, before: Status) -> list[str]:
        with failure_on_error(job, UNREADABLE), read_only_session(job) as connection:
            applied = self.applied(connection, before.pending)
        return [name for name in before.pending if name in applied]

    def _progress(self, job: Job, before: Status) -> Callable[[], None]:
        connection = read_only_session(job)
        return progress_reporter(job, before.pending, lambda: self.applied(connection, before.pending))

    def _failure_message(self, job: Job, before: Status, reason: str, watch: LockWatch) -> str:
        done = self._newly_applied(job, before)
        failed = next((name for name in before.pending if name not in done), "")
        waited = ""
        if "lock timeout" in reason or "LockNotAvailable" in reason:
            waited = f" It waited {LOCK_TIMEOUT_S} s for a lock.{watch.held_by}"
        return (
            f"{self.title} failed: {reason.rstrip('.')}.{waited} The migration {failed} and the later ones "
            f"are not applied; it was rolled back, unless it isn't atomic. {progress_so_far(done)}"
        )


class _StderrTail:
    """The last part of a program's standard error, with the exception of a traceback."""

    def __init__(self) -> None:
        self._tail = b""

    def read(self, stream: str, chunk: bytes) -> None:
        if stream == "stderr":
            self._tail = (self._tail + chunk)[-TAIL_BYTES:]

    @property
    def exception(self) -> str | None:
        """Return the last exception, such as "psycopg.errors.SyntaxError: …", on one line, or None."""
        found = EXCEPTION.findall(self._tail.decode("utf-8", errors="replace"))
        return "".join(c if c.isprintable() else " " for c in found[-1])[:500] if found else None


def _connection(job: Job) -> ConnectionSpec:
    """Return the connection for libpq, with `schema` as search_path and without Prisma's other parameters."""
    schema = job.target.connection.options.get("schema")
    settings = []
    if schema is not None:
        quoted = sql.Identifier(schema).as_string()
        settings.append("search_path=" + quoted.replace("\\", "\\\\").replace(" ", "\\ "))
    limited = session_limits(job, LOCK_TIMEOUT_S, *settings)
    return dataclasses.replace(limited, options=limited.libpq_options)
