"""A target with a real database, a real worker, and ways to wait."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
import redis
from django.utils import timezone

from deployctl.postgres.connection import connect
from deployctl.postgres.queries import activity
from deployctl.runs.execution import reaper
from deployctl.runs.models import Run, RunState, Target
from tests.conftest import Committed
from tests.runs.conftest import add_target, executed, kinds, real_target  # noqa: F401 (fixtures)


@pytest.fixture(autouse=True)
def _empty_broker(redis_url: str) -> None:
    redis.Redis.from_url(redis_url).flushdb()


@pytest.fixture
def start_worker(committed_db: Committed) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """`start_worker()`: a worker process, killed at the end if it still runs."""
    workers: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        workers.append(
            subprocess.Popen(
                [sys.executable, "-m", "tests.faults.worker"],
                env=committed_db.environment,
                start_new_session=True,
            )
        )
        return workers[-1]

    yield start
    for worker in workers:
        worker.kill()
        worker.wait()


@pytest.fixture
def shop(real_target: Target) -> Target:  # noqa: F811
    return real_target


def until(condition: Callable[[], Any], seconds: float = 20) -> None:
    """Wait for something; fail when it does not happen."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def has_said(run: Run, text: str) -> Callable[[], bool]:
    return lambda: run.lines.filter(text__contains=text).exists()


def has_ended(run: Run) -> Callable[[], bool]:
    return lambda: not Run.objects.unfinished().filter(pk=run.pk).exists()


def sessions_of(run: Run) -> list[int]:
    """The run's sessions on the target's server."""
    with connect(run.target.spec(), application_name="test") as session:
        return activity.pids_named(session, run.mark)


def programs_of(run: Run) -> list[int]:
    """The run's processes on this machine."""
    return [process.pid for process in reaper.processes_of(run.mark)]


def effects(target: Target) -> int:
    """Rows that `Change` left."""
    with psycopg.connect(target.spec().conninfo()) as session:
        row = session.execute("SELECT count(*) FROM effects").fetchone()
    return row[0] if row else 0


def let_lease_run_out(run: Run) -> None:
    """What 45 seconds of waiting would do."""
    past = timezone.now() - dt.timedelta(seconds=1)
    assert Run.objects.filter(pk=run.pk, state=RunState.RUNNING).update(lease_until=past) == 1
