"""A target with a real database, a real worker, and ways to wait."""

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
    """What tests start of the product, on the session's broker."""
    with Installation(committed_db.environment, tmp_path) as processes:
        yield processes


@pytest.fixture
def start_worker(installation: Installation) -> Callable[[], Process]:
    """`start_worker()`: a worker process, killed at the end if it still runs."""
    return installation.worker


@pytest.fixture
def broker() -> Iterator[RedisServer]:
    """A broker that a test may stop and start."""
    folder = Path(tempfile.mkdtemp(prefix="deployctl-test-broker-"))
    try:
        with RedisServer(folder / "redis") as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def apart(committed_db: Committed, broker: RedisServer, tmp_path: Path) -> Iterator[Installation]:
    """What tests start of the product, on a broker of its own."""
    with Installation(committed_db.environment | {"REDIS_URL": broker.url()}, tmp_path) as processes:
        yield processes


@pytest.fixture
def dba(committed_db: Committed) -> User:
    """Who presses."""
    return person("Dana Baker", Permission.OPERATOR, Permission.APPROVER)


@pytest.fixture
def shop(real_target: Target) -> Target:  # noqa: F811
    return real_target


def has_said(run: Run, text: str) -> Callable[[], bool]:
    return lambda: run.lines.filter(text__contains=text).exists()


def has_ended(run: Run) -> Callable[[], bool]:
    return lambda: not Run.objects.unfinished().filter(pk=run.pk).exists()


def sessions_of(run: Run) -> list[int]:
    """The run's sessions on the target's server."""
    with connect(run.target.spec(), application_name="test") as session:
        return activity.pids_named(session, run.application_name_prefix)


def programs_of(run: Run) -> list[int]:
    """The run's processes on this machine."""
    return [process.pid for process in reaper.processes_of(run.application_name_prefix)]


def changes_of(run: Run) -> list[str]:
    """What the audit log says of a run, oldest first."""
    return list(Entry.objects.about(run).order_by("sequence").values_list("action", flat=True))


def effects(target: Target) -> int:
    """Rows that `Change` left."""
    with psycopg.connect(target.spec().conninfo()) as session:
        row = session.execute("SELECT count(*) FROM effects").fetchone()
    return row[0] if row else 0


def let_lease_run_out(run: Run) -> None:
    """What 45 seconds of waiting would do."""
    past = timezone.now() - dt.timedelta(seconds=1)
    assert Run.objects.filter(pk=run.pk, state=RunState.RUNNING).update(lease_until=past) == 1
