"""Tars that are small and would not be once they are read."""

from __future__ import annotations

import gc
import tarfile
from pathlib import Path

import pytest

from deployctl.operations.backup import manifest, upload_extraction
from deployctl.operations.backup.upload_extraction import UploadFormat, UploadRefused
from deployctl.operations.framework.base import OperationFailed
from tests.operations.test_import_backup import member, tar_with

GB = 1 << 30


def unpack(content: bytes, tmp_path: Path, *, room: int = GB, at_most: int = GB) -> Path:
    """Unpack a tar. Returns the folder."""
    (tmp_path / "x.tar").write_bytes(content)
    into = tmp_path / "into"
    into.mkdir()
    upload_extraction.extract(tmp_path / "x.tar", UploadFormat.TAR, into, max_bytes=at_most, free_bytes=room)
    return into


def extension(kind: bytes, **fields: str) -> bytes:
    """A header that says something about the next file, or about all that come."""
    records = b""
    for keyword, value in fields.items():
        record = f" {keyword}={value}\n".encode()
        length = len(record) + 1
        while len(str(length)) + len(record) != length:
            length += 1
        records += f"{length}".encode() + record
    header = member("x", kind)
    header.size = len(records)
    return header.tobuf(tarfile.USTAR_FORMAT) + records + bytes(-len(records) % tarfile.BLOCKSIZE)


HOLES = {
    "0.0": {"GNU.sparse.size": "1", "GNU.sparse.offset": "0", "GNU.sparse.numbytes": "0"},
    "0.1": {"GNU.sparse.map": "0,0"},
    "1.0": {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "1"},
}


@pytest.mark.parametrize("version", HOLES)
def test_a_map_of_holes_is_refused_unread(tmp_path: Path, version: str) -> None:
    content = extension(tarfile.XHDTYPE, **HOLES[version]) + tar_with((member("d/toc.dat"), b"1" * 5000))
    with pytest.raises(UploadRefused, match="a file with holes"):
        unpack(content, tmp_path)


def test_headers_about_headers_without_end_are_refused(tmp_path: Path) -> None:
    content = extension(tarfile.XHDTYPE, comment="x") * 3000 + tar_with((member("d/toc.dat"), b"PGDMP"))
    with pytest.raises(UploadRefused, match="more headers for one file"):
        unpack(content, tmp_path)


def test_a_header_for_all_files_is_refused_as_it_would_be_copied_to_each(tmp_path: Path) -> None:
    content = extension(tarfile.XGLTYPE, comment="x") + tar_with((member("d/toc.dat"), b"PGDMP"))
    with pytest.raises(UploadRefused, match="a header for all of its files"):
        unpack(content, tmp_path)


def test_a_long_name_in_an_extension_is_taken(tmp_path: Path) -> None:
    content = extension(tarfile.XHDTYPE, path=f"{'d' * 300}/toc.dat") + tar_with((member("x"), b"PGDMP"))
    assert (unpack(content, tmp_path) / "toc.dat").read_bytes() == b"PGDMP"


def test_folders_are_counted_like_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_extraction, "MAX_FILES", 3)
    folders = [(member(f"d{number}", tarfile.DIRTYPE), b"") for number in range(3)]
    with pytest.raises(UploadRefused, match="more than 3 files and folders"):
        unpack(tar_with(*folders, (member("d/toc.dat"), b"PGDMP")), tmp_path)


def test_headers_are_not_kept_however_many_there_are(tmp_path: Path) -> None:
    folders = (member(f"d{number}", tarfile.DIRTYPE) for number in range(2000))
    content = tar_with(*((folder, b"") for folder in folders), (member("/outside"), b""))
    with pytest.raises(UploadRefused, match="lies outside of a dump's folder") as refusal:
        unpack(content, tmp_path)

    # The refusal still holds the frame that reads the tar, and with it everything that the tar keeps.
    assert "take" in [entry.name for entry in refusal.traceback]
    gc.collect()
    # Not isinstance, which asks lazy objects that other tests left behind what they are.
    assert sum(issubclass(type(kept), tarfile.TarInfo) for kept in gc.get_objects()) < 100


def test_a_sum_that_is_longer_than_a_line_is_refused(tmp_path: Path) -> None:
    content = tar_with((member("d/toc.dat"), b"PGDMP"), (member(f"d/{manifest.SUM_NAME}"), bytes(5000)))
    with pytest.raises(UploadRefused, match=r"manifest\.sha256 in the tar is larger than that of any backup"):
        unpack(content, tmp_path)


def test_what_the_disk_has_no_room_for_is_refused_before_it_is_written(tmp_path: Path) -> None:
    content = tar_with((member("d/toc.dat"), b"PGDMP"), (member("d/1.dat"), bytes(5000)))
    with pytest.raises(OperationFailed, match="has room for 4,096 bytes, and the tar holds more") as refusal:
        unpack(content, tmp_path, room=4096)
    assert "Free some space, then send it again." in refusal.value.sentence
    assert not (tmp_path / "into" / "1.dat").exists()
