"""Messages for runs that failed, were stopped or lost their worker."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import psycopg

from deployctl.runs.execution.cancellation import StopReason
from deployctl.runs.models import Run, StepState
from deployctl.text import pluralize


def stopped(run: Run, reason: StopReason, left: str = "") -> str:
    """Return the message for a run that was stopped by its worker.

    Args:
        run: the run.
        reason: the reason to stop.
        left: a sentence about remaining sessions, or "".
    """
    minutes = run.operation.time_limit_s // 60
    why = {
        StopReason.CANCELLED: f"Cancelled by {run.cancel_requested_by_name}.",
        StopReason.TIME_LIMIT: f"Stopped after its time limit of {pluralize(minutes, 'minute')}.",
        StopReason.SHUTDOWN: "Stopped because its worker was shut down.",
    }[reason]
    return _joined(why, left, target_state(run))


def worker_lost(run: Run, *left: str) -> str:
    """Return the message for a run whose worker was lost, after the reaper cleaned up.

    Args:
        left: sentences about remaining sessions and files, or "".
    """
    return _joined(f"The worker on {run.worker_host} was lost.", *left, target_state(run))


def target_state(run: Run) -> str:
    """Return sentences about the target's state after an interrupted run, and the next step."""
    if not run.changes_target:
        return f"“{run.title}” only reads {run.target}, so nothing was changed. Start it again."
    done = list(run.steps.filter(state=StepState.SUCCEEDED).values_list("name", flat=True))
    unfinished = list(run.steps.exclude(state=StepState.SUCCEEDED).values_list("name", flat=True))
    if not done and not unfinished:
        return f"Nothing on {run.target} was changed yet."
    return _joined(
        f"Completed steps on {run.target}: {'; '.join(done)}." if done else "No step was completed.",
        f"Unfinished: {'; '.join(unfinished)}." if unfinished else "",
        "PostgreSQL rolls back an interrupted transaction, but not what was committed before. "
        "Check the target before you do anything else with it: “Check migration status” shows which "
        "migrations are applied.",
    )


def sessions_unknown(run: Run, error: Exception) -> str:
    """Return the message that the run's sessions on the target could not be checked."""
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return (
        f"deployctl couldn't check whether sessions of this run are still open on {run.target} ({reason}). "
        f"Look for application names that start with {run.application_name_prefix}"
    )


def partials_left(folder: Path, error: OSError) -> str:
    """Return the message that partial files of a run could not be removed."""
    return (
        f"Its partial files in {folder} couldn't be removed ({error.strerror or error}). They aren't usable; "
        "delete the names that end in .partial."
    )


def sessions_left(run: Run, pids: Sequence[int]) -> str:
    """Return the message about sessions that did not end, "" if there are none."""
    if not pids:
        return ""
    listed = ", ".join(map(str, pids))
    return f"These sessions of the run on {run.target} didn't end: {listed}. End them before you continue."


def postgres_error(run: Run, error: psycopg.Error) -> str:
    """Return the message for an unexpected error of PostgreSQL."""
    reported = (error.diag.message_primary or str(error)).strip().rstrip(".")
    return f"PostgreSQL reported: {reported}. {target_state(run)}"


def internal_error(run: Run, error: BaseException, *, debug: bool) -> str:
    """Return the message for an internal error; the worker's log has the details."""
    detail = f" ({type(error).__name__}: {error})" if debug else f" ({type(error).__name__})"
    return _joined(
        f"deployctl had an internal error{detail}.",
        "The worker's log has the details.",
        target_state(run),
    )


def _joined(*sentences: str) -> str:
    return " ".join(sentence for sentence in sentences if sentence)
