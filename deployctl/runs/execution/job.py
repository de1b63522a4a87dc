"""The job of a run: implements `framework.base.Job` on our tables."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
from django.db import transaction

from deployctl.errors import DeployctlError
from deployctl.operations.framework import subprocess_runner
from deployctl.operations.framework.base import BackupCatalog, Cancelled, TargetFacts
from deployctl.postgres.connection import ConnectionSpec
from deployctl.postgres.process import Completed
from deployctl.runs.execution.backup_catalog import RunBackupCatalog
from deployctl.runs.execution.cancellation import StopReason, StopSignal
from deployctl.runs.execution.log import Log
from deployctl.runs.execution.masking import Masker
from deployctl.runs.execution.progress import Progress
from deployctl.runs.execution.retry import retry_until_reachable
from deployctl.runs.execution.sessions import Sessions
from deployctl.runs.models import LeaseLost, Run, RunStep, StepState
from deployctl.secrets import Secret
from deployctl.web.live import announce


class RunJob:
    """A `framework.base.Job` on our tables.

    Args:
        run: the claimed run.
        target: the target with its connection.
        log, masker, sessions, stop: the parts of this execution.
        deadline: the end of the time limit, by the monotonic clock.
    """

    def __init__(
        self,
        run: Run,
        *,
        target: TargetFacts,
        log: Log,
        masker: Masker,
        sessions: Sessions,
        stop: StopSignal,
        deadline: float,
    ) -> None:
        assert run.token is not None  # noqa: S101 - a claimed run has one
        self.run_id, self.token = run.pk, run.token
        self.application_name = run.application_name
        self.params = run.operation.parse_params(run.params)
        self.target = target
        self.backup_catalog: BackupCatalog = RunBackupCatalog(run, self._retry)
        self._run, self._log, self._masker = run, log, masker
        self._sessions, self._stop, self._deadline = sessions, stop, deadline
        self._progress = Progress()
        self._steps = 0

    def log(self, text: str, *, level: str = "info") -> None:
        """Write a line to the log."""
        self._log.write(text, level)

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Record a numbered step."""
        self.raise_if_cancelled()
        step = self._retry(lambda: self._begin_step(self._masker.mask(name)))
        try:
            yield
        except BaseException as error:
            # Keep the first error. A step that can't be recorded here ends with its run.
            with contextlib.suppress(LeaseLost, Cancelled):
                self._end_step(step, *self._failure(error))
            raise
        self._end_step(step, StepState.SUCCEEDED, "")

    def advance(self, done: int, total: int | None, *, unit: str, phase: str = "") -> None:
        """Report progress."""
        columns = self._progress.report(done, total, unit=unit, phase=self._masker.mask(phase))
        if columns is not None:
            self._retry(lambda: self._write_progress(columns))

    def raise_if_cancelled(self) -> None:
        """Raise `Cancelled` if the run must stop."""
        self._stop.raise_if_requested()

    def secret(self, name: str) -> Secret:
        """Return a secret of the target, and mask it from now on in everything that is recorded."""
        found: Secret = self._retry(lambda: self._run.target.secret(name))
        self._masker.add(found.reveal())
        return found

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
        """Run a program to its end, and write its output to the log."""
        self.raise_if_cancelled()
        with self._log.program() as log_output:

            def to_log(stream: str, chunk: bytes) -> None:
                if log_stdout or stream == "stderr":
                    log_output(stream, chunk)

            return subprocess_runner.execute(
                argv,
                application_name=self.application_name,
                timeout_s=max(self._deadline - time.monotonic(), 1),
                should_stop=lambda: self._stop.reason,
                on_output=[to_log, on_output] if on_output else [to_log],
                while_running=while_running,
                env=env,
                cwd=cwd,
                connection=connection,
                pass_url=pass_url,
            )

    def connect(self, *, dbname: str | None = None, **options: Any) -> psycopg.Connection:
        """Open a session on the target that ends with the run."""
        self.raise_if_cancelled()
        return self._sessions.connect(dbname=dbname, **options)

    # --- Writing ----------------------------------------------------------------------------------------

    def _retry(self, write: Callable[[], Any]) -> Any:
        try:
            return retry_until_reachable(write, while_=lambda: self._stop.reason != StopReason.LEASE_LOST)
        except LeaseLost:
            self._stop.request(StopReason.LEASE_LOST)
            raise

    @transaction.atomic
    def _begin_step(self, name: str) -> RunStep:
        number = self._steps + 1
        # Progress belongs to a step, so a new step starts without any.
        self._run.write(
            phase=name[:200], progress_done=None, progress_total=None, progress_unit="", progress_rate=None
        )
        step = RunStep.objects.create(run=self._run, number=number, name=name[:300])
        self._announce("steps", "progress")
        transaction.on_commit(lambda: setattr(self, "_steps", number))
        return step

    def _end_step(self, step: RunStep, state: StepState, detail: str) -> None:
        self._retry(lambda: self._record_end(step, state, self._masker.mask(detail)))

    @transaction.atomic
    def _record_end(self, step: RunStep, state: StepState, detail: str) -> None:
        self._run.write(phase="")
        step.end(state, detail)
        self._announce("steps")

    @transaction.atomic
    def _write_progress(self, columns: Mapping[str, Any]) -> None:
        self._run.write(**columns)
        self._announce("progress")

    def _announce(self, *parts: str) -> None:
        fragments = [f"run-{self.run_id}-{part}" for part in parts]
        announce(f"run:{self.run_id}", *fragments)
        if self._run.deployment_id is not None:
            announce(f"deployment:{self._run.deployment_id}", *fragments)

    def _failure(self, error: BaseException) -> tuple[StepState, str]:
        if self._stop.reason == StopReason.CANCELLED:
            return StepState.CANCELLED, ""
        if self._stop:
            return StepState.INTERRUPTED, ""
        return StepState.FAILED, error.message if isinstance(error, DeployctlError) else ""
