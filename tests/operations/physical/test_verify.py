"""Tests for the verification of a repository with pgBackRest."""

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
    """Flip a bit in the middle of a file, and restore it afterwards."""
    sound = file.read_bytes()
    middle = len(sound) // 2
    file.write_bytes(sound[:middle] + bytes([sound[middle] ^ 1]) + sound[middle + 1 :])
    try:
        yield
    finally:
        file.write_bytes(sound)


def test_a_valid_repository_raises_the_trust_level_of_its_backups(
    full: BackupArtefact, job: Callable[..., FakeJob]
) -> None:
    outcome = PhysicalVerify().perform(job(PhysicalVerify))

    assert outcome.trust == {full.name: ("hashed",)}
    assert outcome.facts["files"][full.details["label"]] == full.files  # type: ignore[index]


def test_a_flipped_bit_in_a_backup_is_reported(
    cluster: Cluster, full: BackupArtefact, job: Callable[..., FakeJob]
) -> None:
    label = str(full.details["label"])
    bundles = (cluster.repository / "backup" / STANZA / label / "bundle").iterdir()
    with (
        flipped(max(bundles, key=lambda path: path.stat().st_size)),
        pytest.raises(OperationFailed, match=f"Damaged: {label}.*Files: .*{label}.*Make a full backup now"),
    ):
        PhysicalVerify().perform(job(PhysicalVerify))


def test_a_flipped_bit_in_the_archived_wal_is_reported(cluster: Cluster, job: Callable[..., FakeJob]) -> None:
    segment = next((cluster.repository / "archive" / STANZA).glob("*/*/*.lz4"))
    with (
        flipped(segment),
        pytest.raises(
            OperationFailed, match=f"Files: .*{segment.name[:24]}.*Damaged: 1 of \\d+ WAL segments"
        ),
    ):
        PhysicalVerify().perform(job(PhysicalVerify))


def test_a_replaced_manifest_is_detected(full: BackupArtefact, job: Callable[..., FakeJob]) -> None:
    running = job(PhysicalVerify)
    running.backup_catalog.kept = [
        dataclasses.replace(running.backup_catalog.kept[0], manifest_sha256="0" * 64)
    ]

    with pytest.raises(
        OperationFailed, match=f"manifest of {full.name} has changed since the backup was made"
    ):
        PhysicalVerify().perform(running)


def test_a_backup_missing_from_the_verify_report_is_not_valid() -> None:
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
def test_damaged_files_are_parsed_in_every_versions_format(line: str) -> None:
    assert parse(["status: error", line]).files == ["15-1/0000000100000000/000000010000000000000002-a1.gz"]
