"""Extracting malicious tars that would use too much memory or disk space."""

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


def unpack(content: bytes, tmp_path: Path, *, free_bytes: int = GB) -> Path:
    """Unpack a tar and return the folder."""
    (tmp_path / "x.tar").write_bytes(content)
    into = tmp_path / "into"
    into.mkdir()
    upload_extraction.extract(tmp_path / "x.tar", UploadFormat.TAR, into, max_bytes=GB, free_bytes=free_bytes)
    return into


def extension(kind: bytes, **fields: str) -> bytes:
    """Return an extension header, for the next file or for all following ones."""
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


SPARSE_HEADERS = {
    "0.0": {"GNU.sparse.size": "1", "GNU.sparse.offset": "0", "GNU.sparse.numbytes": "0"},
    "0.1": {"GNU.sparse.map": "0,0"},
    "1.0": {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "1"},
}


@pytest.mark.parametrize("version", SPARSE_HEADERS)
def test_a_sparse_file_is_refused_before_its_map_is_read(tmp_path: Path, version: str) -> None:
    content = extension(tarfile.XHDTYPE, **SPARSE_HEADERS[version]) + tar_with(
        (member("d/toc.dat"), b"1" * 5000)
    )
    with pytest.raises(UploadRefused, match="a sparse file"):
        unpack(content, tmp_path)


def test_an_endless_chain_of_extension_headers_is_refused(tmp_path: Path) -> None:
    content = extension(tarfile.XHDTYPE, comment="x") * 3000 + tar_with((member("d/toc.dat"), b"PGDMP"))
    with pytest.raises(UploadRefused, match="too many headers for one file"):
        unpack(content, tmp_path)


def test_a_global_header_is_refused(tmp_path: Path) -> None:
    content = extension(tarfile.XGLTYPE, comment="x") + tar_with((member("d/toc.dat"), b"PGDMP"))
    with pytest.raises(UploadRefused, match="a global header"):
        unpack(content, tmp_path)


def test_a_long_name_in_an_extension_is_accepted(tmp_path: Path) -> None:
    content = extension(tarfile.XHDTYPE, path=f"{'d' * 300}/toc.dat") + tar_with((member("x"), b"PGDMP"))
    assert (unpack(content, tmp_path) / "toc.dat").read_bytes() == b"PGDMP"


def test_folders_count_towards_the_limit_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_extraction, "MAX_FILES", 3)
    folders = [(member(f"d{number}", tarfile.DIRTYPE), b"") for number in range(3)]
    with pytest.raises(UploadRefused, match="more than 3 files and folders"):
        unpack(tar_with(*folders, (member("d/toc.dat"), b"PGDMP")), tmp_path)


def test_headers_are_not_kept_in_memory(tmp_path: Path) -> None:
    folders = (member(f"d{number}", tarfile.DIRTYPE) for number in range(2000))
    content = tar_with(*((folder, b"") for folder in folders), (member("/outside"), b""))
    with pytest.raises(UploadRefused, match="is outside the dump's folder") as refusal:
        unpack(content, tmp_path)

    # The traceback still references the frame that reads the tar, with everything that tarfile keeps.
    assert "run" in [entry.name for entry in refusal.traceback]
    gc.collect()
    # Not isinstance, which would evaluate lazy objects of other tests.
    assert sum(issubclass(type(kept), tarfile.TarInfo) for kept in gc.get_objects()) < 100


def test_an_oversized_checksum_file_is_refused(tmp_path: Path) -> None:
    content = tar_with((member("d/toc.dat"), b"PGDMP"), (member(f"d/{manifest.SUM_NAME}"), bytes(5000)))
    with pytest.raises(UploadRefused, match=r"manifest\.sha256 in the tar is too large: 5,000 bytes"):
        unpack(content, tmp_path)


def test_a_file_larger_than_the_disk_space_is_not_written(tmp_path: Path) -> None:
    content = tar_with((member("d/toc.dat"), b"PGDMP"), (member("d/1.dat"), bytes(5000)))
    with pytest.raises(OperationFailed, match="unpacks to more than the 4,096 bytes free") as refusal:
        unpack(content, tmp_path, free_bytes=4096)
    assert "Free some space, then upload it again." in refusal.value.message
    assert not (tmp_path / "into" / "1.dat").exists()
