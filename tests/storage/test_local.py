"""Test the local folder of backups."""

from __future__ import annotations

import datetime as dt
import os
import stat
from pathlib import Path

import pytest

from deployctl.storage import LocalFolder, StorageError


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    return LocalFolder(tmp_path / "deep" / "backups")


def test_a_published_backup_is_listed_by_name(folder: LocalFolder) -> None:
    with folder.partial("first") as partial:
        (partial.path / "data").write_text("rows")
        assert folder.list() == ()
        path = partial.publish()

    assert folder.list() == (path,)
    assert path == folder.path("first")
    assert (path / "data").read_text() == "rows"


def test_only_the_owner_can_read_a_backup(folder: LocalFolder) -> None:
    with folder.partial("first") as partial:
        path = partial.publish()

    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.root.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.root.parent.stat().st_mode) == 0o700


def test_a_failure_leaves_no_files(folder: LocalFolder) -> None:
    def fail_halfway() -> None:
        with folder.partial("first") as partial:
            (partial.path / "data").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()
    assert list(folder.root.iterdir()) == []


def test_a_block_without_publish_leaves_no_files(folder: LocalFolder) -> None:
    with folder.partial("first"):
        pass

    assert list(folder.root.iterdir()) == []


def test_a_taken_name_is_refused_and_nothing_is_replaced(folder: LocalFolder) -> None:
    with folder.partial("first") as partial:
        (partial.path / "data").write_text("old")
        partial.publish()

    with pytest.raises(StorageError, match="exists already"), folder.partial("first"):
        pass
    assert (folder.path("first") / "data").read_text() == "old"


def test_a_second_writer_of_the_same_name_is_refused(folder: LocalFolder) -> None:
    with folder.partial("first") as partial:
        with pytest.raises(StorageError, match="is writing first"), folder.partial("first"):
            pass
        partial.publish()

    assert len(folder.list()) == 1


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "../up", "x.partial", "nul\0", "x" * 201])
def test_invalid_and_hidden_names_are_refused(folder: LocalFolder, name: str) -> None:
    with pytest.raises(StorageError, match="isn't a valid name"), folder.partial(name):
        pass


def test_the_content_is_fsynced_before_the_rename_and_the_parent_after(
    folder: LocalFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def recorded_fsync(descriptor: int) -> None:
        events.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    def recorded_rename(path: Path, target: Path) -> Path:
        events.append("rename")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(Path, "rename", recorded_rename)
    with folder.partial("first") as partial:
        (partial.path / "sub").mkdir()
        (partial.path / "sub" / "data").write_text("rows")
        partial.publish()

    assert events == ["data", "sub", "first.partial", "rename", "backups"]


def test_old_partials_are_removed_and_recent_ones_kept(folder: LocalFolder) -> None:
    for name, age_s in (("old.partial", 7200), ("fresh.partial", 0), ("done", 7200)):
        path = folder.root / name
        path.mkdir(parents=True)
        (path / "data").write_text("x")
        for item in (path / "data", path):
            modified = item.stat().st_mtime - age_s
            os.utime(item, (modified, modified))

    assert folder.remove_partials(dt.timedelta(hours=1)) == ("old.partial",)
    assert sorted(path.name for path in folder.root.iterdir()) == ["done", "fresh.partial"]


def test_a_partial_with_a_recent_write_is_not_old(folder: LocalFolder) -> None:
    path = folder.root / "running.partial"
    path.mkdir(parents=True)
    os.utime(path, (0, 0))
    (path / "data").write_text("x")
    os.utime(path, (0, 0))

    assert folder.remove_partials(dt.timedelta(hours=1)) == ()


def test_a_missing_folder_is_empty_and_reports_free_space(folder: LocalFolder) -> None:
    assert folder.list() == ()
    assert folder.remove_partials(dt.timedelta(0)) == ()
    assert folder.free_bytes() > 0
    with pytest.raises(StorageError, match="no backup"):
        folder.path("first")


def test_an_unwritable_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with (
        pytest.raises(StorageError, match="cannot be written"),
        LocalFolder(tmp_path / "file" / "x").partial("a"),
    ):
        pass
