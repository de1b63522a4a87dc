"""Execute a run, from the claim to the recorded outcome."""

from __future__ import annotations

import logging
import os
import socket
import time
import traceback
from collections.abc import Callable

import psycopg
from django.conf import settings

from deployctl.errors import DeployctlError
from deployctl.operations import catalogue
from deployctl.operations.framework.base import Outcome, TargetFacts
from deployctl.postgres.connection import CannotConnect, ConnectionSpec
from deployctl.runs import preconditions, uploads
from deployctl.runs.execution import missing_privileges, outcome_messages
from deployctl.runs.execution.cancellation import StopReason, StopSignal
from deployctl.runs.execution.heartbeat import Heartbeat
from deployctl.runs.execution.job import RunJob
from deployctl.runs.execution.log import Log
from deployctl.runs.execution.masking import Masker
from deployctl.runs.execution.retry import retry_until_reachable
from deployctl.runs.execution.sessions import Sessions, end_sessions
from deployctl.runs.models import LeaseLost, PhysicalEngine, Run

logger = logging.getLogger(__name__)

# Records the outcome of a run. Raises LeaseLost if another worker holds the run.
Ending = Callable[[], None]


def execute(run_id: int) -> None:
    """Execute a queued run; a duplicate message has no effect."""
    run = Run.objects.select_related("target").filter(pk=run_id).first()
    if run is None or not run.claim(host=socket.gethostname(), pid=os.getpid()):
        return
    if run.kind not in catalogue():
        run.fail(f"This version of deployctl has no operation {run.kind}. Nothing was done.")
        return
    Supervisor(run).supervise()


class Supervisor:
    """Executes one run.

    Args:
        run: the run that this process has claimed.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._stop = StopSignal()
        self._masker = Masker()
        self._sessions: Sessions | None = None
        self._spec: ConnectionSpec | None = None

    def supervise(self) -> None:
        """Perform the operation and record the outcome, unless another worker takes over the run."""
        limit = self._run.operation.time_limit_s
        heartbeat = Heartbeat(self._run, self._stop, time_limit_s=limit, while_stopping=self._cancel_sessions)
        with self._stop.on_terminate(), heartbeat:
            try:
                with Log(self._run, self._masker, self._stop) as log:
                    ending = self._perform(log, deadline=time.monotonic() + limit)
                # The log is complete before the outcome is visible.
                retry_until_reachable(ending, while_=lambda: self._stop.reason != StopReason.LEASE_LOST)
            except LeaseLost:
                logger.warning("Run %s was taken over from this worker, which stops", self._run.pk)

    def _perform(self, log: Log, *, deadline: float) -> Ending:
        try:
            preconditions.check_claim(self._run)
            outcome = self._operate(log, deadline)
        except LeaseLost:
            raise
        except BaseException as error:
            ending = self._ending_of(error, log)
            if not isinstance(error, Exception):
                # The process is about to end (SystemExit and similar): record the outcome first.
                ending()
                raise
            return ending
        finally:
            if self._sessions is not None:
                self._sessions.close()
        return lambda: self._run.succeed(
            self._masker.mask(outcome.summary),
            self._masker.mask_json(dict(outcome.facts)),
            outcome.artefact,
            trust=outcome.trust,
            database_oid=outcome.database_oid,
        )

    def _operate(self, log: Log, deadline: float) -> Outcome:
        run, target = self._run, self._run.target
        spec = self._spec = target.spec()
        self._masker.add(spec.password)
        facts = TargetFacts(
            name=target.name,
            environment=target.environment,
            connection=spec,
            project=target.project(),
            backups=target.backup_folder(),
            uploads=uploads.of(target),
            physical=PhysicalEngine.of(target) if run.operation.physical else None,
        )
        self._sessions = Sessions(spec, run.application_name)
        job = RunJob(
            run,
            target=facts,
            log=log,
            masker=self._masker,
            sessions=self._sessions,
            stop=self._stop,
            deadline=deadline,
        )
        operation = run.operation()
        if not run.exclusive:
            return operation.perform(job)
        with self._sessions.exclusive():
            return operation.perform(job)

    def _cancel_sessions(self) -> None:
        if self._sessions is None:
            return
        try:
            self._sessions.cancel()
        except (CannotConnect, psycopg.Error) as error:
            logger.warning("Sessions of run %s could not be ended: %s", self._run.pk, error)

    # --- Outcome ---

    def _ending_of(self, error: BaseException, log: Log) -> Ending:
        run = self._run
        reason = self._stop.reason or (StopReason.SHUTDOWN if not isinstance(error, Exception) else None)
        if reason == StopReason.LEASE_LOST:
            raise LeaseLost(str(run.pk))
        if reason is not None:
            return self._stopped(reason, log)
        sentence = self._masker.mask(self._with_advice(self._sentence(error)))
        log.write(sentence, "error")
        return lambda: run.fail(sentence)

    def _stopped(self, reason: StopReason, log: Log) -> Ending:
        run = self._run
        left = self._end_sessions()
        run.refresh_from_db(fields=["cancel_requested_by_name"])
        sentence = outcome_messages.stopped(run, reason, left)
        log.write(sentence, "warning")
        ending = {StopReason.CANCELLED: run.mark_cancelled, StopReason.TIME_LIMIT: run.fail}.get(
            reason, run.mark_lost
        )
        return lambda: ending(sentence)

    def _end_sessions(self) -> str:
        """End our sessions on the target. Return a message if some did not end or could not be checked."""
        if self._sessions is None:
            return ""
        self._sessions.close()
        try:
            left = end_sessions(self._run.target.spec(), self._run.application_name)
        except (DeployctlError, psycopg.Error) as error:
            return outcome_messages.sessions_unknown(self._run, error)
        return outcome_messages.sessions_left(self._run, left)

    def _with_advice(self, sentence: str) -> str:
        if self._spec is None:
            return sentence
        advice = missing_privileges.advice(sentence, self._spec, changes=self._run.changes_target)
        return f"{sentence} {advice}".rstrip()

    def _sentence(self, error: BaseException) -> str:
        if isinstance(error, DeployctlError):
            return error.message
        if isinstance(error, psycopg.Error):
            return outcome_messages.postgres_error(self._run, error)
        # An internal error. Its traceback may show values, so it is masked.
        trace = "".join(traceback.format_exception(error))
        logger.error("Internal error in run %s:\n%s", self._run.pk, self._masker.mask(trace))
        return outcome_messages.internal_error(self._run, error, debug=settings.DEBUG)
