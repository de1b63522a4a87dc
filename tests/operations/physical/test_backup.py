"""Tests for physical backups with pgBackRest and a real cluster."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from deployctl.operations.framework.base import BackupArtefact, Cancelled, OperationFailed
from deployctl.operations.framework.fakes import FakeJob
from deployctl.operations.kinds.physical_backup import PhysicalBackup
from deployctl.postgres.connection import parse_url
from tests.operations.physical.cluster import Cluster


def labels(cluster: Cluster) -> list[str]:
    (stanza,) = json.loads(cluster.pgbackrest("--output=json", "info"))
    return [backup["label"] for backup in stanza["backup"]]


def test_a_full_backup_is_recorded_with_the_facts_of_the_repository(
    cluster: Cluster, full: BackupArtefact
) -> None:
    (stanza,) = json.loads(cluster.pgbackrest("--output=json", "info"))
    entry = next(one for one in stanza["backup"] if one["label"] == full.details["label"])

    assert full.name == f"shop-{entry['label']}"
    assert (full.engine, full.format, full.reached) == ("pgbackrest", "full", ("written",))
    assert full.size_bytes == entry["info"]["repository"]["delta"]
    assert full.snapshot_at.timestamp() == entry["timestamp"]["stop"]
    assert full.files > 100
    assert full.details["cluster_bytes"] == entry["info"]["size"]
    assert full.details["wal_stop"] == entry["archive"]["stop"]
    assert full.details["references"] == []
    assert full.details["page_errors"] is False
    assert full.details["system_identifier"] == str(stanza["db"][0]["system-id"])
    assert len(full.manifest_sha256) == 64


def test_a_cancelled_backup_is_not_listed_and_the_next_reports_progress(
    cluster: Cluster, full: BackupArtefact, job: Callable[..., FakeJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = labels(cluster)
    running = job(PhysicalBackup)
    log = running.log
    # The backup waits for its WAL, so it can't end before it is cancelled.
    cluster.hold.touch()

    def cancel_when_begun(text: str, *, level: str = "info") -> None:
        log(text, level=level)
        if "backup start archive" in text:
            running.cancel()

    monkeypatch.setattr(running, "log", cancel_when_begun)
    try:
        with pytest.raises(Cancelled):
            PhysicalBackup().perform(running)
    finally:
        cluster.hold.unlink()
    assert labels(cluster) == before

    again = job(PhysicalBackup)
    artefact = PhysicalBackup().perform(again).artefact

    assert artefact is not None
    assert labels(cluster) == [*before, artefact.details["label"]]
    assert artefact.format == "incr"
    assert full.details["label"] in artefact.details["references"]  # type: ignore[operator]
    assert artefact.size_bytes < full.size_bytes / 2
    percentages = [one.done for one in again.progress if one.phase == "back up"]
    assert percentages == sorted(set(percentages))
    assert percentages[-1] == 100
    assert "DETAIL" not in again.text, "a line per file is too much"


def test_damaged_pages_of_the_cluster_are_reported(cluster: Cluster, job: Callable[..., FakeJob]) -> None:
    cluster.execute("CREATE TABLE rotten AS SELECT n FROM generate_series(1, 2000) AS n", "CHECKPOINT")
    ((path,),) = cluster.execute("SELECT pg_relation_filepath('rotten')")
    file = cluster.server.cluster / str(path)
    with file.open("r+b") as content:
        content.seek(8192 + 4000)
        byte = content.read(1)
        content.seek(8192 + 4000)
        content.write(bytes([byte[0] ^ 1]))
    running = job(PhysicalBackup)
    try:
        outcome = PhysicalBackup().perform(running)
    finally:
        cluster.execute("DROP TABLE rotten")

    assert outcome.artefact is not None
    assert outcome.artefact.details["page_errors"] is True
    assert "The cluster is damaged: 1 file" in outcome.summary
    assert str(path) in running.text
    assert any(level == "warning" and "checksum" in text for level, text in running.lines)


def test_a_stanza_of_another_cluster_is_rejected(
    full: BackupArtefact, job: Callable[..., FakeJob], make_database: Callable[..., str]
) -> None:
    running = job(PhysicalBackup)
    elsewhere = FakeJob(
        parse_url(make_database()),
        params=running.params,
        physical=running.physical,
        backup_catalog=running.backup_catalog,
    )

    with pytest.raises(OperationFailed, match=r"belongs to the cluster \d+, but shop is on the cluster \d+"):
        PhysicalBackup().perform(elsewhere)
    assert running.backup_catalog.gone == {}
    elsewhere.close()
