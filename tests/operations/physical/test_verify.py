"""What pgBackRest's own verification finds, and what is made of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deployctl.operations.framework.base import BackupArtefact, OperationFailed
from deployctl.operations.framework.fakes import FakeJob
from deployctl.operations.kinds.physical_verify import PhysicalVerify
from deployctl.operations.physical.verify_report import parse
from tests.operations.physical.cluster import STANZA, Cluster


@contextmanager
def flipped(file: Path) -> Iterator[None]:
    """One bit in the middle of a file is another one."""
    sound = file.read_bytes()
    middle = len(sound) // 2
    file.write_bytes(sound[:middle] + bytes([sound[middle] ^ 1]) + sound[middle + 1 :])
    try:
        yield
    finally:
        file.write_bytes(sound)


def test_a_whole_repository_raises_the_trust_of_what_is_on_record(
    full: BackupArtefact, job: Callable[..., FakeJob]
) -> None:
    outcome = PhysicalVerify().perform(job(PhysicalVerify))

    assert outcome.trust == {full.name: ("hashed",)}
    assert outcome.facts["files"][full.details["label"]] == full.files  # type: ignore[index]


def test_one_flipped_bit_in_a_backup_is_found_and_named(
    cluster: Cluster, full: BackupArtefact, job: Callable[..., FakeJob]
) -> None:
    label = str(full.details["label"])
    bundles = (cluster.repository / "backup" / STANZA / label / "bundle").iterdir()
    with (
        flipped(max(bundles, key=lambda path: path.stat().st_size)),
        pytest.raises(OperationFailed, match=f"Damaged: {label}.*Files: .*{label}.*Make a full backup now"),
    ):
        PhysicalVerify().perform(job(PhysicalVerify))


def test_one_flipped_bit_in_the_archived_wal_is_found_and_named(
    cluster: Cluster, job: Callable[..., FakeJob]
) -> None:
    segment = next((cluster.repository / "archive" / STANZA).glob("*/*/*.lz4"))
    with (
        flipped(segment),
        pytest.raises(
            OperationFailed, match=f"Files: .*{segment.name[:24]}.*Damaged: 1 of \\d+ WAL segments"
        ),
    ):
        PhysicalVerify().perform(job(PhysicalVerify))


def test_a_manifest_that_was_exchanged_is_found(full: BackupArtefact, job: Callable[..., FakeJob]) -> None:
    running = job(PhysicalVerify)
    running.backup_catalog.kept = [
        dataclasses.replace(running.backup_catalog.kept[0], manifest_sha256="0" * 64)
    ]

    with pytest.raises(OperationFailed, match=f"manifest of {full.name} is not the one that was recorded"):
        PhysicalVerify().perform(running)


def test_what_verify_does_not_say_is_no_proof() -> None:
    assert not parse([]).is_intact
    assert not parse(["status: error"]).is_intact
    counts = "total files checked: 9, total valid files: 9"
    for status in ("invalid", "manifest missing"):
        line = f"  backup: 20260102-030405F, status: {status}, {counts}"
        assert parse(["status: ok", line]).damaged == ["20260102-030405F"]
    running = "  backup: 20260102-030405F, status: in-progress, total files checked: 0, total valid files: 0"
    assert parse(["status: ok", running]).is_intact


@pytest.mark.parametrize(
    "line",
    [
        "P01   INFO: invalid checksum '15-1/0000000100000000/000000010000000000000002-a1.gz'",
        "P01   INFO: file missing '15-1/0000000100000000/000000010000000000000002-a1.gz'",
        "P01  ERROR: [063]: invalid result 15-1/0000000100000000/000000010000000000000002-a1.gz: [29] raised",
    ],
)
def test_damaged_files_are_named_however_the_version_puts_it(line: str) -> None:
    assert parse(["status: error", line]).files == ["15-1/0000000100000000/000000010000000000000002-a1.gz"]
