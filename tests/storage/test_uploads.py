"""Test uploads: complete or discarded, within limits, readable only by the owner."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path

import pytest

from deployctl.storage import LocalFolder, StorageError, Uploads

MB = 1 << 20


def uploads_in(tmp_path: Path, max_bytes: int = MB) -> Uploads:
    return Uploads(LocalFolder(tmp_path / "backups" / "shop"), max_bytes=max_bytes, max_unpacked_bytes=MB)


def all_files(tmp_path: Path) -> list[str]:
    return [path.name for path in (tmp_path / "backups").rglob("*") if path.is_file()]


def test_a_kept_file_is_found_by_id_and_readable_only_by_its_owner(tmp_path: Path) -> None:
    uploads = uploads_in(tmp_path)
    with uploads.receive(announced=3) as incoming:
        incoming.write(b"abc")
        upload_id = incoming.finish()
        incoming.keep()

    assert uploads.file(upload_id).read_bytes() == b"abc"
    assert len(upload_id) == 32
    for folder in uploads.file(upload_id).relative_to(tmp_path / "backups").parents:
        assert (tmp_path / "backups" / folder).stat().st_mode & 0o077 == 0
    assert LocalFolder(tmp_path / "backups" / "shop").list() == ()


def test_an_interrupted_upload_leaves_no_files(tmp_path: Path) -> None:
    def interrupt() -> None:
        with uploads_in(tmp_path).receive() as incoming:
            incoming.write(b"abc")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert all_files(tmp_path) == []


def test_the_limit_applies_to_the_announced_and_the_received_size(tmp_path: Path) -> None:
    with (
        pytest.raises(StorageError, match="larger than the upload limit of 1 MB"),
        uploads_in(tmp_path).receive(announced=MB + 1),
    ):
        pass
    assert not (tmp_path / "backups").exists()
    with (
        pytest.raises(StorageError, match="larger than the upload limit of 1 MB"),
        uploads_in(tmp_path).receive() as incoming,
    ):
        incoming.write(bytes(MB + 1))
    assert all_files(tmp_path) == []


def test_a_file_larger_than_the_free_space_is_refused_before_writing(tmp_path: Path) -> None:
    huge = 1 << 60
    with (
        pytest.raises(StorageError, match="too little for"),
        uploads_in(tmp_path, 2 * huge).receive(announced=huge),
    ):
        pass
    assert not (tmp_path / "backups").exists()


def test_a_failed_write_is_reported_and_leaves_no_files(tmp_path: Path) -> None:
    """A file size limit fails like a full disk: closing the file flushes its buffer and fails again."""
    script = f"""
import resource
from pathlib import Path
from deployctl.storage import LocalFolder, StorageError, Uploads
uploads = Uploads(LocalFolder(Path({str(tmp_path)!r}) / "backups"), max_bytes=1 << 20, max_unpacked_bytes=1)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    with uploads.receive() as incoming:
        incoming.write(bytes(6000))
        incoming.finish()
except StorageError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.stdout.startswith("The upload could not be written to the backup disk: "), result.stderr
    assert all_files(tmp_path) == []


def test_files_of_a_killed_worker_are_deleted_before_the_next_attempt(tmp_path: Path) -> None:
    uploads = uploads_in(tmp_path)
    with uploads.receive() as incoming:
        upload_id = incoming.finish()
        incoming.keep()
    leftover = uploads.file(upload_id).parent / "unpacked"
    leftover.mkdir()
    (leftover / "half").write_bytes(b"x")

    with uploads.unpack_folder(upload_id, "shop-1") as partial:
        assert list(partial.path.iterdir()) == []
        (partial.path / "toc.dat").write_bytes(b"x")
        published = partial.publish()

    assert published == tmp_path / "backups" / "shop" / "shop-1"
    with pytest.raises(StorageError, match="no longer exists"):
        uploads.file(upload_id)


def test_only_old_uploads_are_deleted(tmp_path: Path) -> None:
    uploads = uploads_in(tmp_path)
    with uploads.receive() as incoming:
        upload_id = incoming.finish()
        incoming.keep()
    assert uploads.remove_older(dt.timedelta(hours=1)) == ()
    assert uploads.remove_older(dt.timedelta(seconds=-1)) == (upload_id,)
