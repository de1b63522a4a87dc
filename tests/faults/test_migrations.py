"""Test a worker that is killed during a migration."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from django.test import Client

from deployctl.accounts.models import User
from deployctl.errors import Refusal
from deployctl.runs.execution import reaper
from deployctl.runs.models import RunState, Target
from tests.conftest import Committed
from tests.faults.conftest import expire_lease, has_ended
from tests.faults.installation import Installation
from tests.faults.test_workers import Seen, request
from tests.operations.projects import write_project
from tests.waiting import until

MIGRATIONS = {
    "migrations/1_one.sql": "CREATE TABLE one (id int);",
    "migrations/2_two.sql": "CREATE TABLE two (id int); SELECT pg_sleep(600);",
}
ASLEEP = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"


@pytest.fixture
def migrating(committed_db: Committed, kinds: None, add_target: Callable[..., Target]) -> Target:
    """A target whose second migration takes ten minutes."""
    folder = Path(os.environ["TEST_FOLDER"]) / f"project-{uuid.uuid4().hex}"
    write_project(folder, '[migrations]\ntool = "sql"\n', MIGRATIONS)
    return add_target(project_folder=str(folder))


@pytest.mark.slow(12)
@pytest.mark.fault(3)
def test_a_migration_of_a_killed_worker_needs_a_decision(
    migrating: Target,
    installation: Installation,
    dba: User,
    signed_in: Callable[..., Client],
    seen: Seen,
) -> None:
    worker = installation.worker()
    run = request(migrating, "migrate")
    with psycopg.connect(migrating.spec().conninfo(), autocommit=True) as session:
        until(lambda: session.execute(ASLEEP).fetchone())
        worker.kill()
        until(lambda: not session.execute(ASLEEP).fetchone(), seconds=2)
    expire_lease(run)
    assert reaper.reap() == 1
    run.refresh_from_db()
    assert run.state == RunState.UNKNOWN
    assert "Completed steps on shop: Apply 1_one.sql. Unfinished: Apply 2_two.sql." in run.summary

    # A new worker doesn't retry either. The page shows what to check and what to do.
    installation.worker()
    with pytest.raises(Refusal, match="record the outcome on the run's page"):
        request(migrating, "migrate")
    browser = signed_in(dba)
    assert "The outcome is unknown. Check shop" in browser.get(f"/runs/{run.pk}/").text
    facts = browser.get(f"/runs/{run.pk}/diagnostics").text
    assert "The run has no open sessions." in facts
    assert "Check migration status" in facts
    answer = browser.post("/targets/shop/runs", {"kind": "migration_status"})
    status = migrating.runs.get(kind="migration_status")
    assert answer["Location"] == f"/runs/{status.pk}/"
    until(has_ended(status))
    status.refresh_from_db()
    assert status.summary == "The database is not up to date. Pending: 2_two.sql."
    assert status.summary in browser.get(f"/runs/{run.pk}/diagnostics").text
    assert installation.deliveries(run.pk).count(worker.pid) == len(installation.deliveries(run.pk)) == 1

    decided = browser.post(f"/runs/{run.pk}/decision", {"outcome": "failed", "note": "two is not there."})
    assert decided.status_code == 303
    request(migrating, "migrate").cancel(by=dba)
    seen(
        f"unknown; a second request refused; migration status: “{status.summary}”; {dba.name} decided: failed"
    )
