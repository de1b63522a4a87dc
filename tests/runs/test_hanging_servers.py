"""Runs end despite hanging servers, broken disks and failed cleanups."""

from __future__ import annotations

import datetime as dt
import os
import signal

import pytest

from deployctl.audit import Machine
from deployctl.postgres.connection import connect
from deployctl.postgres.queries import activity
from deployctl.runs.execution import reaper
from deployctl.runs.execution.cancellation import StopReason, StopSignal
from deployctl.runs.execution.log import PENDING_BYTES, Log
from deployctl.runs.execution.masking import Masker
from deployctl.runs.models import Run, RunState, Target
from deployctl.storage import LocalFolder
from tests.faults.conftest import expire_lease
from tests.runs.test_execution import has_logged, in_background
from tests.waiting import until

SYSTEM = Machine("test")


def test_cancelling_does_not_wait_for_a_hanging_session(real_target: Target) -> None:
    run = Run.request(target=real_target, kind="sleep", params={"where": "session"}, by=SYSTEM)
    with in_background(run), connect(real_target.spec(), application_name="test") as watch:
        until(has_logged(run, "sleeping"))
        until(lambda: len(activity.pids_named(watch, run.application_name_prefix)) == 2)
        frozen = activity.pids_named(watch, run.application_name_prefix)
        try:
            for pid in frozen:  # as with a hanging disk
                os.kill(pid, signal.SIGSTOP)
            run.cancel(by=SYSTEM)
            until(lambda: not Run.objects.unfinished().filter(pk=run.pk).exists(), seconds=12)
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)
    assert run.state == RunState.CANCELLED
    assert f"didn't end: {', '.join(map(str, frozen))}" in run.summary


def test_a_failed_cleanup_does_not_block_other_runs(
    real_target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [
        Run.request(target=real_target, kind="look", params={}, by=SYSTEM),
        Run.request(target=real_target, kind="sleep", params={}, by=SYSTEM),
    ]
    for run in runs:
        assert run.claim(host="elsewhere", pid=1)
        expire_lease(run)

    def refuse(self: LocalFolder, older_than: dt.timedelta) -> tuple[str, ...]:
        raise OSError(5, "Input/output error", str(self.root / "x.partial"))

    monkeypatch.setattr(LocalFolder, "remove_partials", refuse)
    assert reaper.reap() == 2
    assert set(Run.objects.values_list("state", flat=True)) == {RunState.INTERRUPTED}
    runs[1].refresh_from_db()
    assert "Input/output error" in runs[1].summary


def test_an_internal_error_in_a_cleanup_does_not_affect_other_runs(
    real_target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [Run.request(target=real_target, kind="look", params={}, by=SYSTEM) for _ in range(3)]
    for run in runs:
        assert run.claim(host="elsewhere", pid=1)
        expire_lease(run)
    clean_up = reaper.clean_up

    def clean_up_or_fail(run: Run) -> None:
        if run.pk == runs[1].pk:
            raise ZeroDivisionError
        clean_up(run)

    monkeypatch.setattr(reaper, "clean_up", clean_up_or_fail)
    assert reaper.reap() == 2
    states = {run.pk: run.state for run in Run.objects.all()}
    assert states == {
        runs[0].pk: RunState.INTERRUPTED,
        runs[1].pk: RunState.RUNNING,
        runs[2].pk: RunState.INTERRUPTED,
    }


def test_a_lost_lease_takes_precedence_over_a_cancellation(real_target: Target) -> None:
    """Otherwise a writer would wait forever for a log that is no longer stored."""
    run = Run.request(target=real_target, kind="look", params={}, by=SYSTEM)
    assert run.claim(host="here", pid=1)
    stop = StopSignal()
    stop.request(StopReason.CANCELLED)
    with Log(run, Masker(), stop) as log:
        expire_lease(run)
        assert run.take_over()
        Run.objects.filter(pk=run.pk).update(token=run.token + 1)  # type: ignore[operator]
        for _ in range(3 * PENDING_BYTES // 1024):
            log.write("x" * 1024, "info")
    assert stop.reason == StopReason.LEASE_LOST
