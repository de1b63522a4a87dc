"""Clean up after lost workers: end their processes and sessions, and record the outcome of their runs."""

from __future__ import annotations

import datetime as dt
import logging
import socket
import time

import psutil
import psycopg
from django.db import transaction

from deployctl.errors import DeployctlError
from deployctl.operations.physical import scratch_folder as physical_scratch
from deployctl.operations.restore import scratch_database
from deployctl.postgres import pass_file
from deployctl.runs.execution import outcome_messages
from deployctl.runs.execution.log import add_line
from deployctl.runs.execution.sessions import end_sessions
from deployctl.runs.models import LeaseLost, PhysicalEngine, Run

logger = logging.getLogger(__name__)

KILLED_WITHIN_S = 5.0


def reap() -> int:
    """Clean up every run whose lease has expired.

    Returns:
        The number of runs.
    """
    settled = 0
    for run in Run.objects.abandoned().select_related("target"):
        if not run.take_over():
            continue
        try:
            clean_up(run)
        except LeaseLost:  # our own lease has expired; the next reaper continues
            continue
        except Exception:
            # Retried when our lease has expired. One run must not block the others.
            logger.exception("Run %s could not be cleaned up", run.pk)
            continue
        settled += 1
    return settled


def clean_up(run: Run) -> None:
    """End the processes and sessions of a lost run, wait until they are gone, and record the outcome.

    Args:
        run: the run, after `take_over`.

    Raises:
        LeaseLost: another reaper took it over.
    """
    if run.worker_host == socket.gethostname():
        end_processes(run.application_name_prefix)
        pass_file.remove_leftovers(run.application_name_prefix)
    left = [_end_sessions(run)]
    if run.exclusive:
        left.append(_remove_partials(run))
        _drop_scratch_databases(run)
        _remove_scratch_clusters(run)
    sentence = outcome_messages.worker_lost(run, *left)
    logger.warning("Run %s: %s", run.pk, sentence)
    with transaction.atomic():
        add_line(run, sentence, "error")
        run.mark_lost(sentence)


def end_processes(prefix: str) -> None:
    """Kill the processes of a run on this machine, and wait until they are gone.

    They are found by their environment, because process ids are reused.

    Args:
        prefix: the prefix of `PGAPPNAME`, see `Run.application_name_prefix`.
    """
    deadline = time.monotonic() + KILLED_WITHIN_S
    while found := processes_of(prefix):
        for process in found:
            _kill(process)
        psutil.wait_procs(found, timeout=1)
        if time.monotonic() > deadline:
            logger.error("Processes of %s did not end: %s", prefix, [process.pid for process in found])
            return


def processes_of(prefix: str) -> list[psutil.Process]:
    """Return the processes of a run on this machine, see `end_processes`."""
    return [process for process in psutil.process_iter() if _belongs_to_run(process, prefix)]


def _belongs_to_run(process: psutil.Process, prefix: str) -> bool:
    try:
        return process.environ().get("PGAPPNAME", "").startswith(prefix)
    except (psutil.Error, OSError):  # gone, a zombie, or another user's
        return False


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()  # psutil checks the start time first, in case the id was reused
    except psutil.Error as error:
        logger.warning("A process of a lost run could not be killed: %s", error)


def _end_sessions(run: Run) -> str:
    try:
        return outcome_messages.sessions_left(
            run, end_sessions(run.target.spec(), run.application_name_prefix)
        )
    except (DeployctlError, psycopg.Error) as error:
        return outcome_messages.sessions_unknown(run, error)


def _drop_scratch_databases(run: Run) -> None:
    try:
        for name in scratch_database.sweep(run.target.spec()):
            logger.warning("Run %s left the scratch database %s; it was dropped", run.pk, name)
    except (DeployctlError, psycopg.Error) as error:
        # The next restore on that server tries again.
        logger.warning("Scratch databases of run %s could not be dropped: %s", run.pk, error)


def _remove_scratch_clusters(run: Run) -> None:
    try:
        engine = PhysicalEngine.of(run.target)
        for name in physical_scratch.sweep(engine.scratch, run.target.name) if engine else ():
            logger.warning("Run %s left the restored cluster %s; it was removed", run.pk, name)
    except (DeployctlError, OSError) as error:
        # The next test restore tries again.
        logger.warning("Restored clusters of run %s could not be removed: %s", run.pk, error)


def _remove_partials(run: Run) -> str:
    folder = run.target.backup_folder()
    try:
        # This run holds the target, so no other process writes backups of it.
        folder.remove_partials(dt.timedelta(0))
    except OSError as error:
        return outcome_messages.partials_left(folder.root, error)
    return ""
