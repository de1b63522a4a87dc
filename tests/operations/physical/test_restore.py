"""Tests for test restores of a cluster, with point-in-time recovery."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import shutil
import time
from collections.abc import Callable

import psutil
import pytest

from deployctl.errors import InvalidInput
from deployctl.operations.framework.base import BackupArtefact, Cancelled, OperationFailed
from deployctl.operations.framework.fakes import FakeJob
from deployctl.operations.kinds.physical_restore_test import PhysicalRestoreTest
from deployctl.operations.physical import recovery_target
from deployctl.runs.execution import reaper
from tests.operations.physical.cluster import Cluster

ENDED = dt.datetime(2026, 5, 4, 10, 30, tzinfo=dt.UTC)


def clear_of(backup: BackupArtefact, cluster: Cluster) -> dt.datetime:
    """Return the server's time after the backup can be recovered to it; backups report whole seconds."""
    while True:
        ((now,),) = cluster.execute("SELECT clock_timestamp()")
        assert isinstance(now, dt.datetime)
        if now >= backup.snapshot_at + dt.timedelta(seconds=1):
            return now
        time.sleep(0.1)


def nothing_left(cluster: Cluster, job: FakeJob) -> bool:
    return cluster.scratch_folders() == [] and not reaper.processes_of(job.application_name)


def test_a_deleted_row_exists_at_the_recovery_target_before_it(
    cluster: Cluster, full: BackupArtefact, job: Callable[..., FakeJob]
) -> None:
    cluster.execute("CREATE TABLE items AS SELECT n FROM generate_series(1, 10) AS n")
    before = clear_of(full, cluster)
    cluster.execute("DELETE FROM items WHERE n = 7")
    cluster.archive()

    then = job(PhysicalRestoreTest, until=before.isoformat(), backup=full.name)
    at_that_time = PhysicalRestoreTest().perform(then)
    at_the_end = PhysicalRestoreTest().perform(job(PhysicalRestoreTest))

    assert at_that_time.facts["counts"]["public.items"] == 10  # type: ignore[index,call-overload]
    assert at_the_end.facts["counts"]["public.items"] == 9  # type: ignore[index,call-overload]
    assert dt.datetime.fromisoformat(str(at_that_time.facts["last_commit_at"])) <= before
    assert at_that_time.facts["timeline"] == 2
    assert list(at_that_time.trust.values()) == [("restored",)], "content was read, not compared"
    assert b"recovery stopping before commit" in then.output
    assert nothing_left(cluster, then)
    assert cluster.execute("DROP TABLE items", "SELECT timeline_id FROM pg_control_checkpoint()") == [(1,)], (
        "the original goes on"
    )


@pytest.mark.parametrize("cancel_in", ["restore", "recover"])
def test_a_cancelled_test_restore_leaves_nothing_behind(
    cluster: Cluster,
    full: BackupArtefact,
    job: Callable[..., FakeJob],
    monkeypatch: pytest.MonkeyPatch,
    cancel_in: str,
) -> None:
    running = job(PhysicalRestoreTest, until="immediate", backup=full.name)
    advance = running.advance

    def cancel(done: int, total: int | None, *, unit: str, phase: str = "") -> None:
        advance(done, total, unit=unit, phase=phase)
        if phase == cancel_in:
            running.cancel()

    monkeypatch.setattr(running, "advance", cancel)

    with pytest.raises(Cancelled):
        PhysicalRestoreTest().perform(running)
    assert nothing_left(cluster, running)


def test_a_recovery_target_after_the_archived_wal_is_reported(
    cluster: Cluster, full: BackupArtefact, job: Callable[..., FakeJob]
) -> None:
    now = clear_of(full, cluster)
    running = job(PhysicalRestoreTest, until=now.isoformat(), backup=full.name)

    with pytest.raises(OperationFailed, match=r"no later transaction yet.*pg_switch_wal"):
        PhysicalRestoreTest().perform(running)
    assert nothing_left(cluster, running)


def test_a_recovery_target_before_every_backup_is_rejected(
    full: BackupArtefact, job: Callable[..., FakeJob]
) -> None:
    before = (full.snapshot_at - dt.timedelta(hours=1)).isoformat()

    with pytest.raises(OperationFailed, match="no recorded physical backup of shop ended before"):
        PhysicalRestoreTest().perform(job(PhysicalRestoreTest, until=before))
    with pytest.raises(
        OperationFailed, match=r"Nothing was restored: .* ended at .*, after the recovery target"
    ):
        PhysicalRestoreTest().perform(job(PhysicalRestoreTest, until=before, backup=full.name))
    with pytest.raises(OperationFailed, match="no physical backup nonsense"):
        PhysicalRestoreTest().perform(job(PhysicalRestoreTest, backup="nonsense"))


@pytest.mark.usefixtures("full")
def test_a_data_directory_or_a_full_disk_is_rejected(
    cluster: Cluster, job: Callable[..., FakeJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = job(PhysicalRestoreTest)
    inside = dataclasses.replace(cluster.engine, scratch=cluster.server.cluster / "base")
    running.target = dataclasses.replace(running.target, physical=inside)
    with pytest.raises(OperationFailed, match="is inside a server's data directory"):
        PhysicalRestoreTest().perform(running)

    running = job(PhysicalRestoreTest)
    usage = shutil.disk_usage(cluster.scratch)._replace(free=1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(OperationFailed, match="has 1 bytes free"):
        PhysicalRestoreTest().perform(running)
    assert cluster.scratch_folders() == []


def test_the_scratch_server_is_isolated_and_leftovers_are_removed(
    cluster: Cluster, full: BackupArtefact, job: Callable[..., FakeJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    leftover, unrelated = "deployctl-scratch-shop-7-0123abcd", "deployctl-scratch-shop-old"
    for name in (leftover, unrelated):
        (cluster.scratch / name / "cluster").mkdir(parents=True)
    running = job(PhysicalRestoreTest, until="immediate", backup=full.name)
    servers: set[str] = set()
    advance = running.advance

    def inspect(done: int, total: int | None, *, unit: str, phase: str = "") -> None:
        advance(done, total, unit=unit, phase=phase)
        if phase == "count":
            for process in reaper.processes_of(running.application_name):
                with contextlib.suppress(psutil.NoSuchProcess):  # a session that has just ended
                    assert process.net_connections(kind="inet") == []
                    servers.add(" ".join(process.cmdline()))

    monkeypatch.setattr(running, "advance", inspect)
    try:
        PhysicalRestoreTest().perform(running)
        assert cluster.scratch_folders() == [unrelated]
    finally:
        shutil.rmtree(cluster.scratch / unrelated)

    assert f"Removed {leftover} of a run that was killed." in running.text
    (server,) = [command for command in servers if command.partition(" ")[0].endswith("/postgres")]
    for setting in ("listen_addresses=", "archive_mode=off", "max_logical_replication_workers=0"):
        assert f"-c {setting} -c" in f"{server} -c"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tomorrow", "isn't a valid recovery target"),
        ("2026-05-04T10:00:00", "has no time zone"),
        ("2126-05-04T10:00:00Z", "is in the future"),
    ],
)
def test_an_invalid_recovery_target_is_rejected(text: str, expected: str) -> None:
    with pytest.raises(InvalidInput, match=expected):
        recovery_target.parse(text, now=ENDED)


def test_a_recovery_target_is_passed_to_pgbackrest_in_utc() -> None:
    target = recovery_target.parse("2026-05-04T10:00:00+02:00", now=ENDED)

    assert target.options[:2] == ["--type=time", "--target=2026-05-04 08:00:00.000000+00"]
    assert not target.is_after(dt.datetime(2026, 5, 4, 8, 0, tzinfo=dt.UTC)), "the backup's second counts"
    assert recovery_target.parse("latest", now=ENDED).options == ["--type=default"]
