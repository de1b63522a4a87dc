"""Physical backups: their engine, what pages show, and the operations that ignore them."""

from __future__ import annotations

import datetime as dt
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from django.conf import settings
from django.test import Client
from django.utils import timezone

from deployctl.accounts.models import User
from deployctl.audit.models import Entry
from deployctl.cli.backup import backup as backup_command
from deployctl.cli.target import target as target_command
from deployctl.errors import InvalidInput, NotAllowed, Refusal
from deployctl.operations import catalogue
from deployctl.operations.framework.base import PGBACKREST, BackupArtefact, OperationFailed
from deployctl.operations.framework.fakes import FakeJob
from deployctl.runs.execution import reaper
from deployctl.runs.execution.backup_catalog import RunBackupCatalog
from deployctl.runs.models import Backup, PhysicalEngine, Retention, Run, Target
from tests.runs.conftest import SYSTEM, call_once

LABEL = "20260504-103000F"
HINT = "if the database is too large to dump"


@pytest.fixture
def allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that is allowed for configurations and test restores."""
    monkeypatch.setattr(settings, "DEPLOYCTL_PGBACKREST_ROOTS", [tmp_path])
    return tmp_path


@pytest.fixture
def engine(target: Target, allowed: Path) -> PhysicalEngine:
    """Return the target's engine, which no test runs."""
    return PhysicalEngine.set(
        target,
        stanza="shop",
        configuration=str(allowed / "pgbackrest.conf"),
        scratch_folder=str(allowed),
        by=SYSTEM,
    )


@pytest.fixture
def physical_backup(target: Target, engine: PhysicalEngine, monkeypatch: pytest.MonkeyPatch) -> Backup:
    """Return a full physical backup that is 90 days old."""
    monkeypatch.setattr("deployctl.runs.queue.enqueue", lambda _run_id: True)
    run = Run.request(target=target, kind="physical_backup", params={"type": "full"}, by=SYSTEM)
    run.claim(host="here", pid=1)
    artefact = BackupArtefact(
        name=f"shop-{LABEL}",
        path=Path("backup", "shop", LABEL),
        format="full",
        size_bytes=4_000_000,
        files=1267,
        server_version="15.4",
        tool_version="2.45",
        snapshot_at=timezone.now() - dt.timedelta(days=90),
        manifest_sha256="a" * 64,
        counts={},
        engine=PGBACKREST,
        reached=("written",),
        details={"label": LABEL, "stanza": "shop"},
    )
    run.succeed("done", {}, artefact)
    return run.backup


def test_a_new_physical_backup_has_only_the_trust_level_written(physical_backup: Backup) -> None:
    assert physical_backup.is_physical
    assert [level.level for level in physical_backup.reached] == ["written"]
    assert physical_backup.rows is None, "rows are not counted"


def test_our_retention_ignores_physical_backups(physical_backup: Backup, target: Target) -> None:
    run = Run.request(target=target, kind="expire_backups", params={}, by=SYSTEM)
    backup_catalog = RunBackupCatalog(run, call_once)

    assert Retention.preview(target) == ()
    assert backup_catalog.backups() == ()
    assert [kept.name for kept in backup_catalog.physical()] == [physical_backup.name]

    Backup.objects.update(expired_at=timezone.now())
    assert backup_catalog.physical() == ()
    assert backup_catalog.expired() == frozenset(), "deployctl has no files to remove"


@pytest.mark.parametrize("kind", ["verify", "test_restore", "restore", "copy_offsite"])
def test_operations_on_dumps_reject_physical_backups(
    physical_backup: Backup, target: Target, kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(settings, "DEPLOYCTL_OFFSITE", [f"file://{tmp_path}"])
    operation = catalogue()[kind]
    job = FakeJob(
        target.spec(),
        params=operation.parse_params({"backup": physical_backup.name}),
        backup_catalog=RunBackupCatalog(physical_backup.run, call_once),
    )
    words = f"{physical_backup.name} is a physical backup, which this operation can't use"
    with pytest.raises(OperationFailed, match=words):
        operation().perform(job)


@pytest.mark.usefixtures("db")
def test_paths_must_be_allowed_and_stanzas_valid(target: Target, allowed: Path, viewer: User) -> None:
    for stanza, configuration, scratch, words in (
        ("--config=/x", "", "", "a valid stanza name"),
        ("shop", "/home/somebody/pgbackrest.conf", "", "in an allowed folder for pgBackRest configurations"),
        ("shop", f"{allowed}/../x.conf", "", "in an allowed folder for pgBackRest"),
        ("shop", "", "/var/lib/postgresql", "in an allowed folder for test restores"),
    ):
        with pytest.raises(InvalidInput, match=words):
            PhysicalEngine.set(
                target, stanza=stanza, configuration=configuration, scratch_folder=scratch, by=SYSTEM
            )
    with pytest.raises(NotAllowed):
        PhysicalEngine.set(target, stanza="shop", by=viewer)
    for configuration in ("", "/etc/pgbackrest.conf", "/etc/pgbackrest/pgbackrest.conf"):
        PhysicalEngine.set(target, stanza="shop", configuration=configuration, by=SYSTEM)
    assert Entry.objects.filter(action="target.engine_set").count() == 3


def test_without_an_engine_a_hint_is_shown_and_nothing_can_start(
    target: Target, dba: User, signed_in: Callable[..., Client]
) -> None:
    page = signed_in(dba).get(f"/targets/{target}/").text

    assert HINT in page
    assert "Make physical backup" not in page
    with pytest.raises(Refusal, match=r"shop has none.*can set its pgBackRest stanza"):
        Run.request(target=target, kind="physical_backup", params={}, by=SYSTEM)


def test_operators_can_use_the_engine_that_an_administrator_sets(
    target: Target, allowed: Path, administrator: User, signed_in: Callable[..., Client]
) -> None:
    client = signed_in(administrator)
    wrong = client.post(
        f"/targets/{target}/physical-engine", {"stanza": "shop", "scratch_folder": "/nowhere"}
    )
    assert wrong.status_code == 422
    assert "in an allowed folder for test restores" in wrong.text

    client.post(f"/targets/{target}/physical-engine", {"stanza": "shop", "scratch_folder": str(allowed)})

    page = client.get(f"/targets/{target}/").text
    assert HINT not in page
    for title in ("Check physical backup setup", "Make physical backup", "Test physical restore"):
        assert title in page
    assert "Remove stanza shop" in client.get(f"/targets/{target}/settings").text
    client.post(f"/targets/{target}/physical-engine", {"_method": "DELETE"})
    assert HINT in client.get(f"/targets/{target}/").text


def test_the_list_shows_engine_type_and_matching_operations(
    physical_backup: Backup, target: Target, dba: User, signed_in: Callable[..., Client]
) -> None:
    page = signed_in(dba).get("/backups/").text

    assert "pgBackRest, full" in page
    assert "copies files" in page
    assert "Test physical restore" in page
    assert "Verify backup" not in page
    assert (
        "because pgBackRest expires them by its own retention"
        in signed_in(dba).get(f"/targets/{target}/retention").text
    )

    Backup.objects.update(expired_at=timezone.now())
    assert "Expired by pgBackRest" in signed_in(dba).get("/backups/").text


def test_the_command_line_sets_and_lists_the_engine(physical_backup: Backup, target: Target) -> None:
    runner = CliRunner()
    (listed,) = json.loads(runner.invoke(backup_command, ["list", "--json"], catch_exceptions=False).output)
    assert (listed["engine"], listed["label"], listed["path"]) == ("pgbackrest", LABEL, None)

    said = runner.invoke(target_command, ["physical", "shop", "--remove"], catch_exceptions=False).output
    assert "no longer has a pgBackRest stanza" in said
    runner.invoke(target_command, ["physical", "shop", "--stanza", "main"], catch_exceptions=False)
    shown = runner.invoke(target_command, ["show", "shop", "--json"], catch_exceptions=False).output
    assert json.loads(shown)["physical_engine"]["stanza"] == "main"


def test_the_reaper_removes_the_restored_cluster_of_a_lost_worker(
    target: Target, engine: PhysicalEngine, allowed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployctl.runs.queue.enqueue", lambda _run_id: True)
    run = Run.request(target=target, kind="physical_restore_test", params={}, by=SYSTEM)
    run.claim(host=socket.gethostname(), pid=os.getpid())
    left = allowed / f"deployctl-scratch-shop-{run.pk}-0123abcd"
    of_another = allowed / "deployctl-scratch-other-1-01234567"
    for folder in (left, of_another):
        (folder / "cluster").mkdir(parents=True)
    Run.objects.update(lease_until=timezone.now() - dt.timedelta(seconds=1))

    assert reaper.reap() == 1

    assert not left.exists()
    assert of_another.exists()
