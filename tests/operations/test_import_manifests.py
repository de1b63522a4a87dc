"""Manifests that come with an upload: nothing in them is of a kind or size that a record cannot hold."""

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
from tests.operations.test_import_backup import import_backup, nothing_is_left, tar_of

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
NO_TEXT = "something else in the place of a text"
NO_NUMBER = "something else in the place of a number"
STRANGE: tuple[tuple[tuple[str | int, ...], object, str], ...] = (
    (("dump", "snapshot_at"), "0001-01-01T00:00:00+14:00", "from the year 1"),
    (("dump", "snapshot_at"), "9999-12-31T23:59:59-14:00", "from the year 9999"),
    (("dump", "snapshot_at"), "2026-01-01T00:00:00", "in which zone"),
    (("dump", "tool_version"), "x", "no version of pg_dump"),
    (("dump", "tool_version"), 15, NO_TEXT),
    (("dump", "format"), "tar", "no format of a dump"),
    (("dump", "compression"), None, NO_TEXT),
    (("name",), ["x"], NO_TEXT),
    (("source", "server_version"), 15, NO_TEXT),
    (("source", "server_version"), "15\0", NO_TEXT),
    (("source", "database"), "\ud800", NO_TEXT),
    (("source", "system_identifier"), 7, NO_TEXT),
    (("source", "database_oid"), "1", NO_NUMBER),
    (("counts", 0, "table"), "pl\0an", NO_TEXT),
    (("counts", 0, "schema"), 1, NO_TEXT),
    (("counts", 0, "digest"), 1, NO_TEXT),
    (("counts", 0, "rows"), -1, NO_NUMBER),
    (("counts", 0, "rows"), 1.5, NO_NUMBER),
    (("counts", 0, "rows"), "3", NO_NUMBER),
    (("counts", 0, "rows"), 1 << 63, NO_NUMBER),
    (("large_objects", "count"), None, NO_NUMBER),
    (("large_objects", "digest"), None, NO_TEXT),
    (("files", 0, "size"), "1", NO_NUMBER),
    (("files", 0, "size"), 1 << 63, NO_NUMBER),
    (("files", 0, "path"), "toc.dat", "lists a file twice"),
    (("files", 0, "path"), "toc\0.dat", NO_TEXT),
    (("files", 0, "sha256"), 0, NO_TEXT),
)


def changed(written: Any, place: tuple[str | int, ...], value: object) -> Any:
    """A manifest with another value in one place."""
    copy = json.loads(json.dumps(written))
    inner = copy
    for key in place[:-1]:
        inner = inner[key]
    assert place[-1] in inner
    inner[place[-1]] = value
    return copy


def test_a_manifest_of_ours_is_taken_with_and_without_what_may_be_missing() -> None:
    refuse_invalid_manifest(Manifest.from_json(WRITTEN))
    for place in (("source", "system_identifier"), ("counts", 0, "digest"), ("large_objects",), ("counts",)):
        refuse_invalid_manifest(Manifest.from_json(changed(WRITTEN, place, None)))


@pytest.mark.parametrize(("place", "value", "words"), STRANGE)
def test_a_manifest_with_something_that_no_record_holds_is_refused(
    place: tuple[str | int, ...], value: object, words: str
) -> None:
    with pytest.raises(UploadRefused, match=words):
        refuse_invalid_manifest(Manifest.from_json(changed(WRITTEN, place, value)))


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("source", "server_version"), 15, NO_TEXT),
        # Python names the unknown argument in the error, and the error becomes the summary of the run.
        (("large_objects",), {"\0\ud800" + "x" * 5000: 1}, "unexpected keyword argument '��x{400,500}"),
    ],
    ids=["a number", "a name"],
)
def test_of_an_upload_with_such_a_manifest_nothing_is_left_and_the_reason_can_be_recorded(
    make_database: Callable[..., str],
    tmp_path: Path,
    place: tuple[str | int, ...],
    value: object,
    words: str,
) -> None:
    folder = back_up(parse_url(make_database()), tmp_path).path
    written = json.loads((folder / manifest.NAME).read_bytes())
    sent = json.dumps(changed(written, place, value)).encode()
    (folder / manifest.NAME).write_bytes(sent)
    (folder / manifest.SUM_NAME).write_text(f"{hashlib.sha256(sent).hexdigest()}  {manifest.NAME}\n")
    there = tmp_path / "there"
    there.mkdir()

    with pytest.raises(UploadRefused, match=words):
        import_backup(tar_of(folder, tmp_path / "x.tar"), there)

    assert nothing_is_left(there)


@pytest.mark.parametrize("tiny", [b"[],", b'{"":0},', b"[[[]]],", b'"ab",'])
def test_a_manifest_of_very_many_tiny_values_is_refused_before_it_is_parsed(
    tmp_path: Path, tiny: bytes
) -> None:
    crowded = tmp_path / manifest.NAME
    crowded.write_bytes(b"[" + tiny * (MAX_SIZES[manifest.NAME] // len(tiny) - 1) + b"0]")

    with pytest.raises(UploadRefused, match=r"at most 2,000,000 are taken, which do for .* 125,000 tables"):
        refuse_complex_manifest(crowded)


def test_an_upload_with_such_a_manifest_is_refused(
    make_database: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = back_up(parse_url(make_database()), tmp_path).path
    there = tmp_path / "there"
    there.mkdir()
    monkeypatch.setattr("deployctl.operations.backup.upload_extraction.MAX_DELIMITERS", 20)

    with pytest.raises(
        UploadRefused, match=r"manifest\.json has \d+ commas, colons and brackets; at most 20 are"
    ):
        import_backup(tar_of(folder, tmp_path / "x.tar"), there)

    assert nothing_is_left(there)


def test_a_manifest_of_ten_thousand_tables_is_far_below_the_limits(tmp_path: Path) -> None:
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
