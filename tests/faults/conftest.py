"""Fixtures and helpers: a target with a real database, real processes, and conditions to wait for."""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from django.utils import timezone

from deployctl.accounts.models import User
from deployctl.accounts.roles import Permission
from deployctl.audit.models import Entry
from deployctl.embedded.redis import RedisServer
from deployctl.postgres.connection import connect
from deployctl.postgres.queries import activity
from deployctl.runs.execution import reaper
from deployctl.runs.models import Run, RunState, Target
from tests.conftest import Committed
from tests.faults.installation import Installation, Process
from tests.people import person
from tests.runs.conftest import add_target, executed, kinds, real_target  # noqa: F401 (fixtures)


@pytest.fixture(autouse=True)
def _empty_broker(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()


@pytest.fixture
def installation(committed_db: Committed, tmp_path: Path) -> Iterator[Installation]:
    """An installation on the broker of the test session."""
    with Installation(committed_db.environment, tmp_path) as processes:
        yield processes


@pytest.fixture
def start_worker(installation: Installation) -> Callable[[], Process]:
    """`start_worker()` starts a worker process, which is killed at the end of the test."""
    return installation.worker


@pytest.fixture
def broker() -> Iterator[RedisServer]:
    """A broker that the test can stop and start."""
    folder = Path(tempfile.mkdtemp(prefix="deployctl-test-broker-"))
    try:
        with RedisServer(folder / "redis") as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def isolated(committed_db: Committed, broker: RedisServer, tmp_path: Path) -> Iterator[Installation]:
    """An installation on the broker of the `broker` fixture."""
    with Installation(committed_db.environment | {"REDIS_URL": broker.url()}, tmp_path) as processes:
        yield processes


@pytest.fixture
def dba(committed_db: Committed) -> User:
    """The person who requests runs."""
    return person("Dana Baker", Permission.OPERATOR, Permission.APPROVER)


@pytest.fixture
def shop(real_target: Target) -> Target:  # noqa: F811
    return real_target


def has_logged(run: Run, text: str) -> Callable[[], bool]:
    return lambda: run.lines.filter(text__contains=text).exists()


def has_ended(run: Run) -> Callable[[], bool]:
    return lambda: not Run.objects.unfinished().filter(pk=run.pk).exists()


def session_pids(run: Run) -> list[int]:
    """Return the backend process IDs of the run's sessions on the target's server."""
    with connect(run.target.spec(), application_name="test") as session:
        return activity.pids_named(session, run.application_name_prefix)


def process_pids(run: Run) -> list[int]:
    """Return the IDs of the run's processes on this machine."""
    return [process.pid for process in reaper.processes_of(run.application_name_prefix)]


def audit_actions(run: Run) -> list[str]:
    """Return the actions in the audit log about a run, oldest first."""
    return list(Entry.objects.about(run).order_by("sequence").values_list("action", flat=True))


def effect_count(target: Target) -> int:
    """Return the number of rows that the operation `Change` wrote."""
    with psycopg.connect(target.spec().conninfo()) as session:
        row = session.execute("SELECT count(*) FROM effects").fetchone()
    return row[0] if row else 0


def expire_lease(run: Run) -> None:
    """Let the lease of a run expire, instead of waiting 45 seconds."""
    past = timezone.now() - dt.timedelta(seconds=1)
    assert Run.objects.filter(pk=run.pk, state=RunState.RUNNING).update(lease_until=past) == 1
