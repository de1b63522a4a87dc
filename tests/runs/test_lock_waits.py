"""Lock waits of a running run, and diagnostics of the target of a lost run."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connections
from django.test import Client

from deployctl.accounts.roles import Permission
from deployctl.audit import Machine
from deployctl.postgres.connection import connect
from deployctl.postgres.queries import databases
from deployctl.postgres.short_session import short_session
from deployctl.runs import lock_waits
from deployctl.runs.execution import supervisor
from deployctl.runs.execution.masking import MASK
from deployctl.runs.models import Run, RunState, Target
from tests.operations.projects import write_project
from tests.people import person
from tests.waiting import until

SYSTEM = Machine("test")
SignedIn = Callable[..., Client]


@pytest.fixture(autouse=True)
def _without_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployctl.runs.queue.enqueue", lambda _run_id: True)


@pytest.fixture
def migrating(
    real_target: Target, secret_file: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> Target:
    """Return a target whose pending migration waits long for a lock on the table `plan`."""
    monkeypatch.setattr("deployctl.operations.migrations.tools.sql.LOCK_TIMEOUT_S", 600)
    folder = Path(os.environ["TEST_FOLDER"]) / f"project-{uuid.uuid4().hex}"
    folder.mkdir()
    files = {"migrations/1_column.sql": "ALTER TABLE plan ADD COLUMN name text;"}
    write_project(folder, '[migrations]\ntool = "sql"\n', files)
    Target.objects.filter(pk=real_target.pk).update(project_folder=str(folder))
    real_target.refresh_from_db()
    real_target.set_secret_reference("WORD", secret_file("a-secret-word"), by=SYSTEM)
    with connect(real_target.spec(), application_name="test") as session:
        session.execute("CREATE TABLE plan (n int)")
    return real_target


def test_a_blocked_migration_shows_the_blocking_session_without_secrets(
    migrating: Target, signed_in: SignedIn
) -> None:
    browser = signed_in(person("Vi Ewing", Permission.VIEWER))
    run = Run.request(target=migrating, kind="migrate", params={}, by=SYSTEM)
    address = f"/runs/{run.pk}/lock-waits"
    assert "every 3s" not in browser.get(address).text  # a queued run has no lock waits

    def work() -> None:
        try:
            supervisor.execute(run.pk)
        finally:
            connections.close_all()

    worker = threading.Thread(target=work)
    password = migrating.spec().password
    with psycopg.connect(migrating.spec().conninfo(application_name="forgotten psql")) as holder:
        holder.execute("LOCK TABLE plan IN ACCESS SHARE MODE")
        holder.execute(f"SELECT '{password}', 'a-secret-word'".encode())
        worker.start()
        seen: list[str] = []

        def waits() -> bool:
            seen.append(browser.get(address).text)
            return "Waiting for a lock" in seen[-1]

        until(waits)
        shown = seen[-1]
        page = browser.get(f"/runs/{run.pk}/").text
        pid, role = holder.info.backend_pid, holder.info.user
    worker.join()

    for text in (f">{pid}</span>, role {role}, application forgotten psql, idle in transaction", "plan"):
        assert text in shown
    assert f"SELECT &#x27;{MASK}&#x27;, &#x27;{MASK}&#x27;" in shown
    assert password not in shown
    assert "a-secret-word" not in shown
    assert 'hx-trigger="every 3s, live"' in shown
    assert f'hx-get="{address}" hx-trigger="load delay:1s, every 3s, live"' in page
    run.refresh_from_db()
    assert run.state == RunState.SUCCEEDED
    assert "every 3s" not in browser.get(address).text


def test_the_target_is_queried_once_however_many_people_watch(
    real_target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run.request(target=real_target, kind="change", params={}, by=SYSTEM)
    run.claim(host="here", pid=1)
    queries: list[Any] = []

    def count(*given: Any, **options: Any) -> Any:
        queries.append(given)
        return short_session(*given, **options)

    monkeypatch.setattr(lock_waits, "short_session", count)
    monkeypatch.setattr(lock_waits, "KEPT_FOR_S", 3600)
    monkeypatch.setattr(lock_waits, "_seen", {})
    for _ in range(5):
        assert lock_waits.find(run) == lock_waits.LockWaits([])
    assert len(queries) == 1


def test_an_unreachable_target_and_an_unreadable_secret_are_reported(
    real_target: Target, secret_file: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_waits, "_seen", {})
    run = Run.request(target=real_target, kind="change", params={}, by=SYSTEM)
    run.claim(host="here", pid=1)
    real_target.set_secret_reference("GONE", "env:NOT_THERE_AT_ALL", by=SYSTEM)
    with connect(real_target.spec(), application_name="test") as session:
        session.execute("CREATE TABLE plan (n int)")
    spec = real_target.spec()
    with (
        psycopg.connect(spec.conninfo(application_name="holder")) as holder,
        psycopg.connect(spec.conninfo(application_name=run.application_name)) as waiting,
    ):
        holder.execute("LOCK TABLE plan")
        thread = threading.Thread(target=lambda: waiting.execute("LOCK TABLE plan"))
        thread.start()
        seen: list[lock_waits.LockWaits] = []

        def waits() -> bool:
            monkeypatch.setattr(lock_waits, "_seen", {})
            seen.append(lock_waits.find(run))
            return bool(seen[-1].blockers)

        try:
            until(waits)
        finally:
            holder.rollback()
            thread.join()
    found = seen[-1]
    assert found.blockers[0].query == "hidden, because the secret GONE can't be read and masked"

    reference = secret_file("postgresql://nobody:secret@127.0.0.1:1/nothing")
    Target.objects.filter(pk=real_target.pk).update(connection_reference=reference)
    monkeypatch.setattr(lock_waits, "_seen", {})
    assert "127.0.0.1" in lock_waits.find(Run.objects.get(pk=run.pk)).problem


def test_an_unknown_run_shows_diagnostics_of_the_target(real_target: Target, signed_in: SignedIn) -> None:
    browser = signed_in(person("Dana Baker", Permission.OPERATOR))
    run = Run.request(target=real_target, kind="change", params={}, by=SYSTEM)
    run.claim(host="elsewhere", pid=1)
    spec = real_target.spec()
    with connect(spec.with_database("postgres"), application_name="test") as session:
        found = databases.find(session, spec.dbname)
        assert found is not None
        real_target.check_identity("", found.oid)
        kept, left = f"{spec.dbname}_before_{run.pk}", f"deployctl_scratch_{run.pk}_{uuid.uuid4().hex[:8]}"
        for name, comment in (
            (kept, f"deployctl kept this database as it was before run {run.pk}"),
            (left, f"deployctl scratch database of {run.application_name}"),
        ):
            databases.create(session, name, owner="", encoding="UTF8", locale="")
            databases.comment(session, name, comment)
    run.mark_lost("The worker on elsewhere was lost.")
    address = f"/runs/{run.pk}/diagnostics"
    assert f'hx-get="{address}" hx-trigger="load, live"' in browser.get(f"/runs/{run.pk}/").text

    with psycopg.connect(spec.conninfo(application_name=run.application_name)) as ours:
        shown = browser.get(address).text
        assert f"still open: {ours.info.backend_pid}." in shown
    for text in (f"exists and is the same as before (OID {found.oid})", kept, left):
        assert text in shown
    assert "Check migration status" in shown

    look = Run.request(target=real_target, kind="migration_status", params={}, by=SYSTEM)
    look.claim(host="here", pid=1)
    look.fail("The migration 2_two failed and was not resolved.")
    Target.objects.filter(pk=real_target.pk).update(database_oid=1)
    shown = browser.get(address).text
    assert "The migration 2_two failed and was not resolved." in shown
    assert f"the same as before: its OID is {found.oid} instead of 1" in shown

    Run.objects.get(pk=run.pk).decide(by=SYSTEM, outcome="failed", note="Looked.")
    assert "Current state of shop</h3>" not in browser.get(address).text
