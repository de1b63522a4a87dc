"""Messages for runs that failed, were stopped or lost: what happened, the state now, the next step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import psycopg

from deployctl.runs.execution.cancellation import StopReason
from deployctl.runs.models import Run, StepState
from deployctl.text import pluralize


def stopped(run: Run, reason: StopReason, left: str = "") -> str:
    """Return the message for a run that was stopped in an orderly way.

    Args:
        run: the run.
        reason: the reason to stop.
        left: a sentence about remaining sessions, or "".
    """
    minutes = run.operation.time_limit_s // 60
    why = {
        StopReason.CANCELLED: f"Cancelled by {run.cancel_requested_by_name}.",
        StopReason.TIME_LIMIT: f"Stopped: it exceeded its time limit of {pluralize(minutes, 'minute')}.",
        StopReason.SHUTDOWN: "Stopped: its worker was told to end before it was done.",
    }[reason]
    return _joined(why, left, target_state(run))


def worker_lost(run: Run, *left: str) -> str:
    """Return the message for a run whose worker was lost, after the reaper cleaned up.

    Args:
        left: sentences about remaining sessions and files, or "".
    """
    return _joined(f"Its worker on {run.worker_host} was lost.", *left, target_state(run))


def target_state(run: Run) -> str:
    """Return the known state of the target after an interrupted run, and the next step."""
    if not run.changes_target:
        return f"“{run.title}” only reads {run.target}; nothing on it was changed. Start it again."
    done = list(run.steps.filter(state=StepState.SUCCEEDED).values_list("name", flat=True))
    broken_off = list(run.steps.exclude(state=StepState.SUCCEEDED).values_list("name", flat=True))
    if not done and not broken_off:
        return f"It had not begun to change {run.target}."
    return _joined(
        f"Done on {run.target} before: {'; '.join(done)}." if done else "No step was completed.",
        f"Cut off in: {'; '.join(broken_off)}." if broken_off else "",
        "PostgreSQL undoes a transaction that is cut off, but not what was committed before. "
        "Look at the target before anything else is done to it: “Check migration status” shows which "
        "migrations are applied.",
    )


def sessions_unknown(run: Run, error: Exception) -> str:
    """Return the message that the sessions of a run could not be checked."""
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return (
        f"{run.target} could not be asked whether sessions of this run are still open ({reason}). "
        f"Look there for application names that begin with {run.application_name_prefix}"
    )


def partials_left(folder: Path, error: OSError) -> str:
    """Return the message that partial files of a lost worker could not be removed."""
    return (
        f"What it had half written in {folder} could not be removed ({error.strerror or error}). It is no "
        "backup; remove what ends in .partial."
    )


def sessions_left(run: Run, pids: Sequence[int]) -> str:
    """Return the message about remaining sessions, "" if there are none."""
    if not pids:
        return ""
    listed = ", ".join(map(str, pids))
    return f"These of its sessions on {run.target} did not end: {listed}. End them before going on."


def postgres_error(run: Run, error: psycopg.Error) -> str:
    """Return the message for an unexpected error of PostgreSQL."""
    told = (error.diag.message_primary or str(error)).strip().rstrip(".")
    return f"PostgreSQL said: {told}. " + target_state(run)


def internal_error(run: Run, error: BaseException, *, debug: bool) -> str:
    """Return the message for an internal error; the worker's log has the details."""
    detail = f" ({type(error).__name__}: {error})" if debug else f" ({type(error).__name__})"
    return _joined(
        f"deployctl met a defect of its own{detail}.",
        "The worker's log tells more.",
        target_state(run),
    )


def _joined(*sentences: str) -> str:
    return " ".join(sentence for sentence in sentences if sentence)
