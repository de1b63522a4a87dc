"""Manifests in uploads: values that a backup's database row can't store are refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deployctl.operations.backup import manifest
from deployctl.operations.backup.manifest import Manifest
from deployctl.operations.backup.upload_extraction import MAX_SIZES, UploadRefused, refuse_complex_manifest
from deployctl.operations.kinds.import_backup import refuse_invalid_manifest
from deployctl.postgres.connection import parse_url
from tests.operations.restores import back_up
from tests.operations.test_import_backup import import_backup, is_upload_deleted, tar_of

WRITTEN: dict[str, Any] = {
    "manifest": manifest.FORMAT,
    "version": manifest.VERSION,
    "name": "shop-1",
    "dump": {
        "format": "directory",
        "compression": "gzip",
        "tool_version": "15.1",
        "snapshot_at": "2026-01-01T00:00:00+00:00",
    },
    "source": {
        "target": "shop",
        "database": "shop",
        "database_oid": 16384,
        "system_identifier": "7",
        "server_version": "15.1 (Debian 15.1-1)",
        "encoding": "UTF8",
        "collate": "C",
        "ctype": "C",
    },
    "counts": [{"schema": "public", "table": "plän\n", "rows": 3, "digest": "0"}],
    "large_objects": {"count": 0, "digest": "0"},
    "files": [
        {"path": "1.dat.gz", "size": 9, "sha256": "0"},
        {"path": "toc.dat", "size": 9, "sha256": "0"},
    ],
}
INVALID_TEXT = "an invalid text"
INVALID_NUMBER = "an invalid number"
INVALID_VALUES: tuple[tuple[tuple[str | int, ...], object, str], ...] = (
    (("dump", "snapshot_at"), "0001-01-01T00:00:00+14:00", "invalid year: 1"),
    (("dump", "snapshot_at"), "9999-12-31T23:59:59-14:00", "invalid year: 9999"),
    (("dump", "snapshot_at"), "2026-01-01T00:00:00", "without a time zone"),
    (("dump", "tool_version"), "x", "invalid version of pg_dump"),
    (("dump", "tool_version"), 15, INVALID_TEXT),
    (("dump", "format"), "tar", "unknown dump format"),
    (("dump", "compression"), None, INVALID_TEXT),
    (("name",), ["x"], INVALID_TEXT),
    (("source", "server_version"), 15, INVALID_TEXT),
    (("source", "server_version"), "15\0", INVALID_TEXT),
    (("source", "database"), "\ud800", INVALID_TEXT),
    (("source", "system_identifier"), 7, INVALID_TEXT),
    (("source", "database_oid"), "1", INVALID_NUMBER),
    (("counts", 0, "table"), "pl\0an", INVALID_TEXT),
    (("counts", 0, "schema"), 1, INVALID_TEXT),
    (("counts", 0, "digest"), 1, INVALID_TEXT),
    (("counts", 0, "rows"), -1, INVALID_NUMBER),
    (("counts", 0, "rows"), 1.5, INVALID_NUMBER),
    (("counts", 0, "rows"), "3", INVALID_NUMBER),
    (("counts", 0, "rows"), 1 << 63, INVALID_NUMBER),
    (("large_objects", "count"), None, INVALID_NUMBER),
    (("large_objects", "digest"), None, INVALID_TEXT),
    (("files", 0, "size"), "1", INVALID_NUMBER),
    (("files", 0, "size"), 1 << 63, INVALID_NUMBER),
    (("files", 0, "path"), "toc.dat", "lists a file twice"),
    (("files", 0, "path"), "toc\0.dat", INVALID_TEXT),
    (("files", 0, "sha256"), 0, INVALID_TEXT),
)


def changed(written: Any, path: tuple[str | int, ...], value: object) -> Any:
    """Return a manifest with another value at the given path."""
    copy = json.loads(json.dumps(written))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    assert path[-1] in inner
    inner[path[-1]] = value
    return copy


def test_a_valid_manifest_is_accepted_without_optional_values() -> None:
    refuse_invalid_manifest(Manifest.from_json(WRITTEN))
    for path in (("source", "system_identifier"), ("counts", 0, "digest"), ("large_objects",), ("counts",)):
        refuse_invalid_manifest(Manifest.from_json(changed(WRITTEN, path, None)))


@pytest.mark.parametrize(("path", "value", "words"), INVALID_VALUES)
def test_a_manifest_with_an_invalid_value_is_refused(
    path: tuple[str | int, ...], value: object, words: str
) -> None:
    with pytest.raises(UploadRefused, match=words):
        refuse_invalid_manifest(Manifest.from_json(changed(WRITTEN, path, value)))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("source", "server_version"), 15, INVALID_TEXT),
        # Python's error quotes the unknown argument, and becomes the summary of the run.
        (("large_objects",), {"\0\ud800" + "x" * 5000: 1}, "unexpected keyword argument '��x{400,500}"),
    ],
    ids=["a number", "a name"],
)
def test_an_upload_with_an_invalid_manifest_is_deleted(
    make_database: Callable[..., str],
    tmp_path: Path,
    path: tuple[str | int, ...],
    value: object,
    words: str,
) -> None:
    folder = back_up(parse_url(make_database()), tmp_path).path
    written = json.loads((folder / manifest.NAME).read_bytes())
    uploaded = json.dumps(changed(written, path, value)).encode()
    (folder / manifest.NAME).write_bytes(uploaded)
    (folder / manifest.SUM_NAME).write_text(f"{hashlib.sha256(uploaded).hexdigest()}  {manifest.NAME}\n")
    target_folder = tmp_path / "target"
    target_folder.mkdir()

    with pytest.raises(UploadRefused, match=words):
        import_backup(tar_of(folder, tmp_path / "x.tar"), target_folder)

    assert is_upload_deleted(target_folder)


@pytest.mark.parametrize("tiny", [b"[],", b'{"":0},', b"[[[]]],", b'"ab",'])
def test_a_manifest_with_too_many_values_is_refused_before_parsing(tmp_path: Path, tiny: bytes) -> None:
    path = tmp_path / manifest.NAME
    path.write_bytes(b"[" + tiny * (MAX_SIZES[manifest.NAME] // len(tiny) - 1) + b"0]")

    with pytest.raises(UploadRefused, match=r"the limit is 2,000,000, enough for 125,000 tables"):
        refuse_complex_manifest(path)


def test_an_upload_with_too_many_values_in_its_manifest_is_refused(
    make_database: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = back_up(parse_url(make_database()), tmp_path).path
    target_folder = tmp_path / "target"
    target_folder.mkdir()
    monkeypatch.setattr("deployctl.operations.backup.upload_extraction.MAX_DELIMITERS", 20)

    with pytest.raises(
        UploadRefused, match=r"manifest\.json has \d+ commas, colons and brackets; the limit is 20,"
    ):
        import_backup(tar_of(folder, tmp_path / "x.tar"), target_folder)

    assert is_upload_deleted(target_folder)


def test_a_manifest_of_ten_thousand_tables_is_within_the_limits(tmp_path: Path) -> None:
    count = {
        "schema": "application",
        "table": "a_rather_long_name_of_a_table",
        "rows": 10**9,
        "digest": "9" * 20,
    }
    file = {"path": "100000.dat.gz", "size": 10**9, "sha256": "f" * 64}
    many = {**WRITTEN, "counts": [count] * 10_000, "files": [file] * 10_000}
    Manifest.from_json(many).write(tmp_path)

    refuse_complex_manifest(tmp_path / manifest.NAME)
    assert (tmp_path / manifest.NAME).stat().st_size < MAX_SIZES[manifest.NAME] / 10
