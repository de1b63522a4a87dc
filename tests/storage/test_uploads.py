"""What people send in: whole or not at all, within limits, and found by nobody who guesses."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path

import pytest

from deployctl.storage import LocalFolder, StorageError, Uploads

MB = 1 << 20


def uploads_in(tmp_path: Path, at_most: int = MB) -> Uploads:
    return Uploads(LocalFolder(tmp_path / "backups" / "shop"), at_most=at_most, unpacked_at_most=MB)


def everything(tmp_path: Path) -> list[str]:
    return [path.name for path in (tmp_path / "backups").rglob("*") if path.is_file()]


def test_a_file_that_was_kept_is_found_by_its_number_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    uploads = uploads_in(tmp_path)
    with uploads.receive(announced=3) as incoming:
        incoming.write(b"abc")
        number = incoming.finish()
        incoming.keep()

    assert uploads.file(number).read_bytes() == b"abc"
    assert len(number) == 32
    for folder in uploads.file(number).relative_to(tmp_path / "backups").parents:
        assert (tmp_path / "backups" / folder).stat().st_mode & 0o077 == 0
    assert LocalFolder(tmp_path / "backups" / "shop").list() == ()


def test_whoever_leaves_early_leaves_nothing(tmp_path: Path) -> None:
    def leave() -> None:
        with uploads_in(tmp_path).receive() as incoming:
            incoming.write(b"abc")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        leave()
    assert everything(tmp_path) == []


def test_more_than_is_allowed_is_refused_as_announced_and_as_it_comes(tmp_path: Path) -> None:
    with (
        pytest.raises(StorageError, match="larger than the 1 MB"),
        uploads_in(tmp_path).receive(announced=MB + 1),
    ):
        pass
    assert not (tmp_path / "backups").exists()
    with (
        pytest.raises(StorageError, match="larger than the 1 MB"),
        uploads_in(tmp_path).receive() as incoming,
    ):
        incoming.write(bytes(MB + 1))
    assert everything(tmp_path) == []


def test_more_than_there_is_room_for_is_refused_before_a_byte_is_written(tmp_path: Path) -> None:
    huge = 1 << 60
    with (
        pytest.raises(StorageError, match="too little for"),
        uploads_in(tmp_path, 2 * huge).receive(announced=huge),
    ):
        pass
    assert not (tmp_path / "backups").exists()


def test_a_disk_that_takes_no_more_is_told_in_words_and_leaves_nothing(tmp_path: Path) -> None:
    """A limit on files refuses as a full disk does: what is buffered is written again when it is closed."""
    script = f"""
import resource
from pathlib import Path
from deployctl.storage import LocalFolder, StorageError, Uploads
uploads = Uploads(LocalFolder(Path({str(tmp_path)!r}) / "backups"), at_most=1 << 20, unpacked_at_most=1)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    with uploads.receive() as incoming:
        incoming.write(bytes(6000))
        incoming.finish()
except StorageError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert said.stdout.startswith("The file could not be written beside the backups: "), said.stderr
    assert everything(tmp_path) == []


def test_what_a_killed_worker_had_unpacked_is_removed_before_the_next_attempt(tmp_path: Path) -> None:
    uploads = uploads_in(tmp_path)
    with uploads.receive() as incoming:
        number = incoming.finish()
        incoming.keep()
    left = uploads.file(number).parent / "unpacked"
    left.mkdir()
    (left / "half").write_bytes(b"x")

    with uploads.unpacking(number, "shop-1") as partial:
        assert list(partial.path.iterdir()) == []
        (partial.path / "toc.dat").write_bytes(b"x")
        published = partial.publish()

    assert published == tmp_path / "backups" / "shop" / "shop-1"
    with pytest.raises(StorageError, match="not there any more"):
        uploads.file(number)


def test_only_what_is_old_is_removed(tmp_path: Path) -> None:
    uploads = uploads_in(tmp_path)
    with uploads.receive() as incoming:
        number = incoming.finish()
        incoming.keep()
    assert uploads.remove_older(dt.timedelta(hours=1)) == ()
    assert uploads.remove_older(dt.timedelta(seconds=-1)) == (number,)
