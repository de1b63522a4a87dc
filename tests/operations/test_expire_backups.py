"""Removing backups: what goes, what stays, and what a crash leaves."""

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
    """A record in memory that breaks off where a test says so."""

    def __init__(self, **days_ago: int) -> None:
        self.on_record = {
            name: KeptBackup(name, NOW - dt.timedelta(days=days), "hashed", 7, "0" * 64)
            for name, days in days_ago.items()
        }
        self.gone: dict[str, str] = {}
        self.killed_at = ""

    def policy(self) -> Policy:
        return Policy(keep_days=30, daily=0, weekly=0, monthly=0)

    def backups(self) -> tuple[KeptBackup, ...]:
        return tuple(b for b in self.on_record.values() if b.name not in self.gone)

    def expired(self) -> frozenset[str]:
        return frozenset(self.gone)

    def expire(self, backup: KeptBackup, reason: str) -> None:
        if self.killed_at == "before the record":
            raise KeyboardInterrupt
        self.gone[backup.name] = reason
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


def test_what_is_not_kept_is_removed_and_recorded_with_its_reason(tmp_path: Path) -> None:
    job = job_with(tmp_path, backup_catalog := MemoryCatalog(old=40, older=50, new=1))

    outcome = ExpireBackups().perform(job)

    assert names(job) == ["new"]
    assert backup_catalog.gone.keys() == {"old", "older"}
    assert "older than 30 days" in backup_catalog.gone["old"]
    assert outcome.facts == {"removed": ["old", "older"], "kept": 1, "freed_bytes": 14}
    assert "new stays: the newest one" in job.text


def test_nothing_to_remove_is_a_success(tmp_path: Path) -> None:
    job = job_with(tmp_path, MemoryCatalog())

    assert ExpireBackups().perform(job).facts["removed"] == []


def test_killed_before_the_record_the_backup_comes_back(tmp_path: Path) -> None:
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


def test_killed_after_the_record_the_rest_is_removed_by_the_next_run(tmp_path: Path) -> None:
    job = job_with(tmp_path, backup_catalog := MemoryCatalog(old=40, new=1))
    backup_catalog.killed_at = "after the record"
    with pytest.raises(KeyboardInterrupt):
        ExpireBackups().perform(job)
    assert names(job) == ["new", "old.expired"]

    backup_catalog.killed_at = ""
    ExpireBackups().perform(job)

    assert names(job) == ["new"]


def test_expired_on_record_but_listed_again_is_removed(tmp_path: Path) -> None:
    job = job_with(tmp_path, backup_catalog := MemoryCatalog(old=40, new=1))
    backup_catalog.gone["old"] = "earlier"

    ExpireBackups().perform(job)

    assert names(job) == ["new"]


def test_the_newest_whose_files_are_there_stays(tmp_path: Path) -> None:
    """A row without files keeps nothing: the only real backup is not removed for it."""
    job = job_with(tmp_path, backup_catalog := MemoryCatalog(old=40, new=1))
    job.target.backups.retire("new")
    job.target.backups.delete_retired("new")

    ExpireBackups().perform(job)

    assert names(job) == ["old"]
    assert not backup_catalog.gone
    assert ("warning", "new is on record, but its files are not there.") in job.lines


def test_a_disk_that_is_not_mounted_removes_nothing(tmp_path: Path) -> None:
    backup_catalog = MemoryCatalog(old=40, new=1)
    job = job_with(tmp_path, backup_catalog)
    job.target.backups.root.rename(tmp_path / "elsewhere")

    with pytest.raises(OperationFailed, match="disk of the backups mounted"):
        ExpireBackups().perform(job)

    assert not backup_catalog.gone


def test_what_is_retired_is_not_listed_and_never_overwrites(tmp_path: Path) -> None:
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
