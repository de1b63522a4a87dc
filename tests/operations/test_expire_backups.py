"""Expiring backups under a retention policy, also after a crash."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from deployctl.operations.backup.retention import KeptBackup, Policy
from deployctl.operations.framework.base import OperationFailed
from deployctl.operations.framework.fakes import FakeJob
from deployctl.operations.kinds.expire_backups import ExpireBackups
from deployctl.postgres.connection import ConnectionSpec
from deployctl.storage import LocalFolder, StorageError

NOW = dt.datetime.now(dt.UTC)


class MemoryCatalog:
    """A backup catalog in memory that fails at a given point."""

    def __init__(self, **days_ago: int) -> None:
        self.on_record = {
            name: KeptBackup(name, NOW - dt.timedelta(days=days), "hashed", 7, "0" * 64)
            for name, days in days_ago.items()
        }
        self.expired_reasons: dict[str, str] = {}
        self.killed_at = ""

    def policy(self) -> Policy:
        return Policy(keep_days=30, daily=0, weekly=0, monthly=0)

    def backups(self) -> tuple[KeptBackup, ...]:
        return tuple(b for b in self.on_record.values() if b.name not in self.expired_reasons)

    def expired(self) -> frozenset[str]:
        return frozenset(self.expired_reasons)

    def expire(self, backup: KeptBackup, reason: str) -> None:
        if self.killed_at == "before the record":
            raise KeyboardInterrupt
        self.expired_reasons[backup.name] = reason
        if self.killed_at == "after the record":
            raise KeyboardInterrupt


def job_with(tmp_path: Path, backup_catalog: MemoryCatalog) -> FakeJob:
    job = FakeJob(ConnectionSpec(host="", port=0, user="", password="", dbname=""), tmp_path=tmp_path)
    job.backup_catalog = backup_catalog
    for name in backup_catalog.on_record:
        with job.target.backups.partial(name) as partial:
            (partial.path / "toc.dat").write_bytes(b"content")
            partial.publish()
    return job


def names(job: FakeJob) -> list[str]:
    return sorted(path.name for path in job.target.backups.root.iterdir())


def test_an_expired_backup_is_deleted_and_recorded_with_the_reason(tmp_path: Path) -> None:
    job = job_with(tmp_path, backup_catalog := MemoryCatalog(old=40, older=50, new=1))

    outcome = ExpireBackups().perform(job)

    assert names(job) == ["new"]
    assert backup_catalog.expired_reasons.keys() == {"old", "older"}
    assert "older than 30 days" in backup_catalog.expired_reasons["old"]
    assert outcome.facts == {"removed": ["old", "older"], "kept": 1, "freed_bytes": 14}
    assert "Keep new: newest backup" in job.text


def test_a_run_without_backups_succeeds(tmp_path: Path) -> None:
    job = job_with(tmp_path, MemoryCatalog())

    assert ExpireBackups().perform(job).facts["removed"] == []


def test_a_run_killed_before_recording_is_reverted(tmp_path: Path) -> None:
    job = job_with(tmp_path, backup_catalog := MemoryCatalog(old=40, new=1))
    backup_catalog.killed_at = "before the record"
    with pytest.raises(KeyboardInterrupt):
        ExpireBackups().perform(job)
    assert names(job) == ["new", "old.expired"]
    assert [path.name for path in job.target.backups.list()] == ["new"]

    backup_catalog.policy = lambda: Policy(keep_days=90)  # type: ignore[method-assign]
    ExpireBackups().perform(job)

    assert names(job) == ["new", "old"]
    assert (job.target.backups.path("old") / "toc.dat").read_bytes() == b"content"


def test_a_run_killed_after_recording_is_completed_by_the_next_one(tmp_path: Path) -> None:
    job = job_with(tmp_path, backup_catalog := MemoryCatalog(old=40, new=1))
    backup_catalog.killed_at = "after the record"
    with pytest.raises(KeyboardInterrupt):
        ExpireBackups().perform(job)
    assert names(job) == ["new", "old.expired"]

    backup_catalog.killed_at = ""
    ExpireBackups().perform(job)

    assert names(job) == ["new"]


def test_files_of_an_expired_backup_that_reappear_are_deleted(tmp_path: Path) -> None:
    job = job_with(tmp_path, backup_catalog := MemoryCatalog(old=40, new=1))
    backup_catalog.expired_reasons["old"] = "earlier"

    ExpireBackups().perform(job)

    assert names(job) == ["new"]


def test_the_newest_backup_with_files_is_kept(tmp_path: Path) -> None:
    job = job_with(tmp_path, backup_catalog := MemoryCatalog(old=40, new=1))
    job.target.backups.retire("new")
    job.target.backups.delete_retired("new")

    ExpireBackups().perform(job)

    assert names(job) == ["old"]
    assert not backup_catalog.expired_reasons
    assert ("warning", "new is on record, but its files are missing.") in job.lines


def test_nothing_is_deleted_if_the_disk_is_not_mounted(tmp_path: Path) -> None:
    backup_catalog = MemoryCatalog(old=40, new=1)
    job = job_with(tmp_path, backup_catalog)
    job.target.backups.root.rename(tmp_path / "elsewhere")

    with pytest.raises(OperationFailed, match="Check that the backup disk is mounted"):
        ExpireBackups().perform(job)

    assert not backup_catalog.expired_reasons


def test_a_retired_backup_is_not_listed_and_overwrites_nothing(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path)
    for _ in range(2):
        with folder.partial("a") as partial:
            partial.publish()
        if not folder.retired():
            folder.retire("a")

    assert folder.retired() == ("a",)
    with pytest.raises(StorageError, match="exists already"):
        folder.unretire("a")
    with pytest.raises(StorageError, match="exists already"):
        folder.retire("a")
    with pytest.raises(StorageError, match="isn't a valid name"), folder.partial("b.expired"):
        pass
