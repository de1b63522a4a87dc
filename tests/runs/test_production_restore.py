"""Restore a production target over HTTP on a real database, with two people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from deployctl.accounts.roles import Permission
from deployctl.operations.framework.base import OperationFailed
from deployctl.operations.restore import pg_restore
from deployctl.postgres.connection import connect
from deployctl.runs.execution import supervisor
from deployctl.runs.models import Backup, Run, RunState, Target, Trust
from tests.people import person

SignedIn = Callable[..., Client]


def plans(target: Target) -> int:
    with connect(target.spec(), application_name="test") as session:
        row = session.execute("SELECT count(*) FROM plan").fetchone()
    return int(row[0]) if row else -1


def test_two_people_restore_production_and_every_step_is_recorded(
    committed_db: Any,
    add_target: Callable[..., Target],
    signed_in: SignedIn,
    executed: Callable[..., Run],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live = add_target("live", "production")
    requester, consenter = (
        signed_in(person(name, Permission.OPERATOR)) for name in ("Dana Baker", "Dev Opsworth")
    )
    with connect(live.spec(), application_name="test") as session:
        session.execute("CREATE TABLE plan AS SELECT n FROM generate_series(1, 100) AS n")
    good = executed(live, "backup").backup
    with connect(live.spec(), application_name="test") as session:
        session.execute("DELETE FROM plan WHERE n > 10")

    def restored() -> Run:
        asked = requester.post(
            "/targets/live/runs", {"kind": "restore", "backup": good.name, "jobs": "2", "typed_name": "live"}
        )
        given = consenter.post(f"{asked['Location']}consent", {"typed_name": "live"})
        assert (asked.status_code, given.status_code) == (303, 303)
        run = Run.objects.latest("pk")
        supervisor.execute(run.pk)
        run.refresh_from_db()
        return run

    with monkeypatch.context() as broken:

        def fail(*_: object, **__: object) -> None:
            raise OperationFailed("The disk is on fire.")

        broken.setattr(pg_restore, "restore", fail)
        failed = restored()
    assert (failed.state, failed.summary) == (RunState.FAILED, "The disk is on fire.")
    assert failed.backup.counts == {"public.plan": 10}
    assert plans(live) == 10

    run = restored()

    assert run.state == RunState.SUCCEEDED, run.summary
    assert plans(live) == 100
    page = requester.get(f"/runs/{run.pk}/").text
    assert "Dev Opsworth consented" in page
    assert run.backup.name in page
    assert run.facts["backup_before"] == run.backup.name
    assert (run.backup.trust, good.trust) == (Trust.HASHED, Trust.PROVEN)
    assert Backup.objects.filter(target=live).count() == 3
    assert all(backup.name in requester.get("/backups/").text for backup in Backup.objects.all())
