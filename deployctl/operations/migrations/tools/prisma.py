"""Apply Prisma migrations with the project's own Prisma CLI."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from deployctl.operations.framework.base import Job, OperationFailed, ProcessFailed
from deployctl.operations.framework.postgres_errors import failure_on_error
from deployctl.operations.migrations.base import (
    LOCK_TIMEOUT_S,
    UNREADABLE,
    Status,
    first_line,
    progress_reporter,
    progress_so_far,
    refuse_unless_ready,
)
from deployctl.operations.migrations.lock_observers import LockWatch
from deployctl.operations.migrations.prisma_history import PrismaHistory, compare
from deployctl.operations.migrations.session_limits import session_limits
from deployctl.postgres.queries import prisma
from deployctl.text import pluralize

# Disables telemetry, colors, prompts and update notices.
CLI_ENVIRONMENT: Mapping[str, str] = {
    "CHECKPOINT_DISABLE": "1",
    "CI": "1",
    "NO_COLOR": "1",
    "PRISMA_HIDE_UPDATE_MESSAGE": "1",
}
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# The messages of `prisma migrate status`, with its grammar ("Following migration have …").
UP_TO_DATE = re.compile(r"^Database schema is up to date!", re.MULTILINE)
PENDING = re.compile(r"^(?:Following|The) migrations? have not yet been applied:\n((?:.+\n)+)", re.MULTILINE)
FAILED = re.compile(r"^Following migrations? have failed:\n((?:.+\n)+)", re.MULTILINE)
UNKNOWN = re.compile(
    r"^The migrations? from the database are not found locally in [^\n]*:\n((?:.+\n)+)", re.MULTILINE
)
ALTERNATIVE = (
    'or set tool = "prisma_files" in deployctl.toml, which applies the same migrations without Node.'
)


@dataclass(frozen=True)
class CliStatus:
    """The output of `prisma migrate status`."""

    up_to_date: bool
    pending: tuple[str, ...]
    failed: tuple[str, ...]
    unknown: tuple[str, ...]


class PrismaCli(PrismaHistory):
    """Runs the Prisma CLI that the project itself has installed."""

    tool: ClassVar[str] = "prisma"
    title: ClassVar[str] = "Prisma's own CLI"

    def status(self, job: Job) -> Status:
        """Return the status from Prisma's records, checked against the CLI's.

        Only the records contain edited files and the reasons of failures.

        Raises:
            OperationFailed: the CLI is missing or failed, its output is unknown, or the two disagree.
        """
        cli_status = self._cli_status(job)
        with failure_on_error(job, UNREADABLE), self.open(job, read_only=True) as connection:
            records = self.records(connection)
        status = compare(self.migrations(), records)
        rolled_back = {record.migration_name for record in records if record.rolled_back_at is not None}
        _refuse_disagreement(cli_status, status, rolled_back)
        return status

    def apply(self, job: Job) -> Sequence[str]:
        """Run `prisma migrate deploy`, which applies all pending migrations."""
        with job.step("Check the migration status"):
            before = self.status(job)
            refuse_unless_ready(before)
        if not before.pending:
            return []
        with (
            job.step(f"Apply {pluralize(len(before.pending), 'migration')} with the Prisma CLI"),
            LockWatch(job) as watch,
        ):
            try:
                self._run(job, "deploy", while_running=self._progress(job, before))
            except ProcessFailed as failure:
                raise OperationFailed(self._failure_message(job, before, failure, watch)) from failure
        return self._newly_applied(job, before)

    def mark_rolled_back(self, job: Job, name: str) -> None:
        """Run `prisma migrate resolve --rolled-back`."""
        self._run(job, "resolve", "--rolled-back", name)

    def _newly_applied(self, job: Job, before: Status) -> list[str]:
        with failure_on_error(job, UNREADABLE), self.open(job, read_only=True) as connection:
            records = {r.migration_name: r for r in prisma.records(connection) if r.finished_at is not None}
        names = [name for name in before.pending if name in records]
        for name in names:
            finished = records[name].finished_at
            if finished is not None:
                job.log(f"Applied {name} in {(finished - records[name].started_at).total_seconds():.1f} s")
        job.advance(len(names), len(before.pending), unit="migrations")
        return names

    def _progress(self, job: Job, before: Status) -> Callable[[], None]:
        connection = self.open(job, read_only=True)
        return progress_reporter(
            job,
            before.pending,
            lambda: {r.migration_name for r in self.records(connection) if r.finished_at is not None},
        )

    def _failure_message(self, job: Job, before: Status, failure: ProcessFailed, watch: LockWatch) -> str:
        """Return the message for a failure from the records, otherwise from the CLI's output."""
        with failure_on_error(job, UNREADABLE), self.open(job, read_only=True) as connection:
            after = self.recorded_status(connection)
        done = [name for name in before.pending if name in after.applied]
        if not after.failed:
            return f"{failure.message} No migration is recorded as failed. {progress_so_far(done)}"
        failed = after.failed[0]
        reason = first_line(failed.logs)
        if "lock timeout" in failed.logs and watch.blockers:
            reason = f"it waited {LOCK_TIMEOUT_S} s for a lock.{watch.held_by}".rstrip(".")
        return (
            f"The migration {failed.name} failed: {reason}. Parts of it may remain: compare the schema "
            f"before you resolve it (prisma migrate resolve). {progress_so_far(done)}"
        )

    def _cli_status(self, job: Job) -> CliStatus:
        output = bytearray()
        failure: ProcessFailed | None = None
        try:
            self._run(job, "status", on_output=lambda _stream, chunk: output.extend(chunk))
        except ProcessFailed as error:
            failure = error
        status = parse_status(output.decode("utf-8", errors="replace"))
        # Exit status 0 means up to date, 1 means not up to date; it must match the output.
        if failure is None and status is not None and status.up_to_date:
            return status
        if failure is not None and failure.completed.exit_status == 1 and status is not None:
            return status
        raise OperationFailed(
            "The migration status could not be determined: "
            + (failure.message if failure else "the output of prisma migrate status is unknown.")
        )

    def _run(
        self,
        job: Job,
        verb: str,
        *arguments: str,
        on_output: Callable[[str, bytes], None] | None = None,
        while_running: Callable[[], None] | None = None,
    ) -> None:
        job.execute(
            [str(self._cli()), "migrate", verb, *arguments],
            cwd=self.project.folder,
            env=CLI_ENVIRONMENT,
            connection=session_limits(job, LOCK_TIMEOUT_S),
            pass_url=True,
            on_output=on_output,
            while_running=while_running,
        )

    def _cli(self) -> Path:
        """Return the path of the CLI in the project's node_modules; it is never downloaded."""
        if shutil.which("node") is None:
            raise OperationFailed(
                "Prisma's CLI needs Node.js, which isn't installed. Nothing was changed. "
                f"Install it, {ALTERNATIVE}"
            )
        cli = self.project.folder / "node_modules" / ".bin" / "prisma"
        if not os.access(cli, os.X_OK):
            raise OperationFailed(
                f"Prisma's CLI isn't installed in {self.project.folder}. Nothing was changed. "
                f"Run npm ci there, {ALTERNATIVE}"
            )
        return cli


def _refuse_disagreement(cli: CliStatus, status: Status, rolled_back: Collection[str]) -> None:
    """Raise OperationFailed if the CLI contradicts the records: it may use another database."""
    failed = [failure.name for failure in status.failed]
    # `migrate status` lists no pending migrations after a failure, and never one that was resolved as rolled
    # back, although `migrate deploy` will apply it (both seen with 6.19).
    unlisted = set(status.pending) - set(cli.pending)
    pending_agree = bool(failed) or (
        set(cli.pending) <= set(status.pending) and unlisted.issubset(rolled_back)
    )
    if set(cli.failed) == set(failed) and pending_agree:
        return
    raise OperationFailed(
        "Prisma's CLI and its records in the database disagree, so nothing was applied. "
        f"Pending according to the CLI: {_listed(cli.pending)}; to the records: {_listed(status.pending)}. "
        f"Failed according to the CLI: {_listed(cli.failed)}; to the records: {_listed(failed)}. "
        "Check if the project overrides DATABASE_URL (prisma.config.ts, .env)."
    )


def parse_status(text: str) -> CliStatus | None:
    """Parse the output of `prisma migrate status`; return None if it is unknown."""
    plain = ANSI.sub("", text).replace("\r\n", "\n") + "\n"
    up_to_date = UP_TO_DATE.search(plain) is not None
    pending, failed, unknown = (_names(pattern, plain) for pattern in (PENDING, FAILED, UNKNOWN))
    if not (up_to_date or pending or failed or unknown):
        return None
    return CliStatus(up_to_date=up_to_date, pending=pending, failed=failed, unknown=unknown)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _names(pattern: re.Pattern[str], text: str) -> tuple[str, ...]:
    match = pattern.search(text)
    return tuple(line.strip() for line in match[1].splitlines() if line.strip()) if match else ()
