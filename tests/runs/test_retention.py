"""Retention: what a run removes, who may set a policy, what pages and commands show."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner
from django.test import Client
from django.utils import timezone

from deployctl.accounts.models import User
from deployctl.audit import Machine
from deployctl.audit.models import Entry
from deployctl.cli.backup import backup as backup_command
from deployctl.errors import InvalidInput, NotAllowed
from deployctl.operations.backup.retention import Policy
from deployctl.operations.framework.base import BackupArtefact
from deployctl.runs.execution import backup_expiry
from deployctl.runs.execution.backup_catalog import RunBackupCatalog
from deployctl.runs.models import Backup, LeaseLost, Retention, Run, RunState, Target
from tests.runs.conftest import call_once

SYSTEM = Machine("test")
# One time for all backups; otherwise midnight could put 40 and 41 days ago on the same day.
NOW = timezone.now()
SignedIn = Callable[..., Client]


@pytest.fixture(autouse=True)
def _without_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployctl.runs.queue.enqueue", lambda _run_id: True)


def backed_up(target: Target, days_ago: int) -> Backup:
    """Return a backup with a file, as if a run had made it that many days ago."""
    name = f"{target.name}-{days_ago}"
    with target.backup_folder().partial(name) as partial:
        (partial.path / "toc.dat").write_bytes(b"content")
        path = partial.publish()
    run = Run.request(target=target, kind="sleep", params={}, by=SYSTEM)
    run.claim(host="here", pid=1)
    artefact = BackupArtefact(
        name=name,
        path=path,
        format="directory",
        size_bytes=7,
        files=1,
        server_version="15.7",
        tool_version="15.7",
        snapshot_at=NOW - dt.timedelta(days=days_ago),
        manifest_sha256="0" * 64,
        counts={},
    )
    run.succeed("Backed up.", {}, artefact)
    return Backup.objects.get(run=run)


def test_expiry_removes_files_keeps_rows_and_is_audited(
    real_target: Target, executed: Callable[..., Run]
) -> None:
    Retention.set(real_target, Policy(30, 0, 0, 0), by=SYSTEM)
    new, old = backed_up(real_target, 1), backed_up(real_target, 40)

    run = executed(real_target, "expire_backups")

    assert run.state == RunState.SUCCEEDED, run.summary
    assert [path.name for path in real_target.backup_folder().list()] == [new.name]
    old.refresh_from_db()
    new.refresh_from_db()
    assert old.expired_at is not None
    assert new.expired_at is None
    entry = Entry.objects.get(action="backup.expired")
    assert "older than 30 days" in entry.data["reason"]
    assert [decision.backup.name for decision in Retention.preview(real_target)] == [new.name]


def test_a_worker_that_lost_its_lease_expires_nothing(target: Target) -> None:
    backup = backed_up(target, 40)
    run = Run.request(target=target, kind="expire_backups", params={}, by=SYSTEM)
    run.claim(host="here", pid=1)
    backup_catalog = RunBackupCatalog(run, call_once)
    Run.objects.filter(pk=run.pk).update(token=run.token + 1000 if run.token else 1)

    with pytest.raises(LeaseLost):
        backup_catalog.expire(backup_catalog.backups()[0], "a test")

    backup.refresh_from_db()
    assert backup.expired_at is None


def test_expiry_is_requested_once_a_day_for_targets_that_need_it(
    target: Target, add_target: Callable[..., Target]
) -> None:
    quiet = add_target("quiet")
    for made in (target, quiet):
        Retention.set(made, Policy(30, 0, 0, 0), by=SYSTEM)
        backed_up(made, 1)
    backed_up(target, 40)

    assert backup_expiry.request_due() == 1
    assert backup_expiry.request_due() == 0
    assert Run.objects.get(kind="expire_backups").target == target


def test_expiry_on_a_busy_target_is_requested_again_later(target: Target) -> None:
    Retention.set(target, Policy(30, 0, 0, 0), by=SYSTEM)
    backed_up(target, 1)
    backed_up(target, 40)
    busy = Run.request(target=target, kind="sleep", params={}, by=SYSTEM)

    assert backup_expiry.request_due() == 0
    busy.cancel(by=SYSTEM)
    assert backup_expiry.request_due() == 1


def test_setting_a_policy_is_limited_audited_and_administrators_only(target: Target, dba: User) -> None:
    with pytest.raises(InvalidInput, match="keep_days must be between 1"):
        Retention.set(target, Policy(keep_days=0), by=SYSTEM)
    with pytest.raises(NotAllowed):
        Retention.set(target, Policy(), by=dba)
    Retention.set(target, Policy(keep_days=90), by=SYSTEM)

    assert Retention.policy_of(target) == Policy(keep_days=90)
    entry = Entry.objects.get(action="target.retention_set")
    assert (entry.data["before"]["keep_days"], entry.data["after"]["keep_days"]) == (30, 90)


def test_the_page_previews_deletions_without_saving_a_proposal(
    target: Target, administrator: User, dba: User, signed_in: SignedIn
) -> None:
    backed_up(target, 1)
    backed_up(target, 40)
    backed_up(target, 41)
    fields = {"keep_days": 10, "daily": 0, "weekly": 0, "monthly": 0}

    shown = signed_in(administrator).get("/targets/shop/retention").text
    assert "None of 3 backups." in shown
    asked = {**fields, "preview": "1"}
    proposed = signed_in(administrator).post("/targets/shop/retention/policy", asked).text
    assert "2 of 3 backups" in proposed
    assert "Proposed policy (not saved)" in proposed
    assert Retention.policy_of(target) == Policy()
    assert signed_in(administrator).post("/targets/shop/retention/policy", fields).status_code == 303
    assert Retention.policy_of(target) == Policy(10, 0, 0, 0)
    assert "Delete 2 backups now" in signed_in(dba).get("/targets/shop/retention").text


def test_a_number_outside_its_limits_is_a_field_error(
    target: Target, administrator: User, signed_in: SignedIn
) -> None:
    fields = {"keep_days": 0, "daily": 0, "weekly": 0, "monthly": 0}
    response = signed_in(administrator).post("/targets/shop/retention/policy", fields)

    assert response.status_code == 422
    assert "greater than or equal to 1" in response.text


def test_a_viewer_sees_the_decisions_without_buttons(
    target: Target, viewer: User, signed_in: SignedIn
) -> None:
    backed_up(target, 1)
    response = signed_in(viewer).get("/targets/shop/retention")

    assert "newest backup" in response.text
    assert "button--danger" not in response.text
    assert signed_in(viewer).post("/targets/shop/retention/policy", {}).status_code == 403


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(backup_command, arguments)


def test_the_command_previews_and_requests_expiry(target: Target) -> None:
    Retention.set(target, Policy(), by=SYSTEM)
    changed = invoke("retention", "--target", "shop", "--daily=0", "--weekly=0", "--monthly=0")
    assert changed.exit_code == 0
    assert Retention.policy_of(target) == Policy(30, 0, 0, 0)
    backed_up(target, 1)
    backed_up(target, 40)

    shown = invoke("expire", "--target", "shop", "--dry-run").output
    assert "shop-40  delete   older than 30 days" in shown
    assert not Run.objects.filter(kind="expire_backups").exists()
    assert invoke("expire", "--target", "shop").exit_code == 0
    assert Run.objects.filter(kind="expire_backups").exists()
