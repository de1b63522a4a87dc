"""Tests for the check of physical backups."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from deployctl.operations.framework.base import BackupArtefact, OperationFailed
from deployctl.operations.framework.fakes import FakeJob
from deployctl.operations.kinds.physical_check import PhysicalCheck
from deployctl.postgres.connection import parse_url
from tests.operations.physical.cluster import Cluster
from tests.operations.physical.conftest import kept
from tests.temporary_folders import make_accessible


def test_a_valid_stanza_passes_and_the_records_are_updated(
    cluster: Cluster,
    full: BackupArtefact,
    job: Callable[..., FakeJob],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Child processes must not inherit the worker's environment.
    monkeypatch.setenv("PGBACKREST_STANZA", "elsewhere")
    monkeypatch.setenv("PGBACKREST_REPO1_PATH", "/nonexistent")
    expired = dataclasses.replace(
        full, name="shop-20200101-000000F", details={**full.details, "label": "20200101-000000F"}
    )
    of_another_stanza = dataclasses.replace(
        expired, name="shop-other", details={**expired.details, "stanza": "other"}
    )
    running = job(PhysicalCheck)
    running.backup_catalog.kept = [kept(expired), kept(of_another_stanza)]

    outcome = PhysicalCheck().perform(running)

    assert "Its WAL arrives" in outcome.summary
    assert outcome.facts["stanza"] == "shop"
    assert full.details["label"] in outcome.facts["not_on_record"]  # type: ignore[operator]
    assert "successfully archived" in running.text
    assert list(running.backup_catalog.gone) == ["shop-20200101-000000F"], (
        "pgBackRest expired it, and nothing else"
    )
    assert "retention" in running.backup_catalog.gone["shop-20200101-000000F"]


def test_a_missing_pgbackrest_is_reported_with_the_package_to_install(
    job: Callable[..., FakeJob], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("deployctl.operations.physical.pgbackrest.EXTRA_FOLDERS", ())
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(
        OperationFailed, match=r"isn't installed on the worker's machine.*apt-get install pgbackrest"
    ):
        PhysicalCheck().perform(job(PhysicalCheck))


def test_a_pgbackrest_without_verify_report_is_rejected(
    job: Callable[..., FakeJob], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old = tmp_path / "pgbackrest"
    old.write_text("#!/bin/sh\necho 'pgBackRest 2.36'\n")
    old.chmod(0o755)
    make_accessible(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    with pytest.raises(
        OperationFailed, match=r"is pgBackRest 2\.36, but deployctl needs pgBackRest 2\.45 or newer"
    ):
        PhysicalCheck().perform(job(PhysicalCheck))


@pytest.mark.parametrize(
    ("stanza", "configuration", "expected"),
    [
        ("nope", None, "pgBackRest reports about stanza nope: missing stanza path.*stanza-create"),
        ("shop", "/nonexistent/pgbackrest.conf", r"ERROR: \[055\].*Correct the path"),
    ],
)
def test_a_wrong_stanza_or_configuration_is_reported(
    cluster: Cluster, job: Callable[..., FakeJob], stanza: str, configuration: str | None, expected: str
) -> None:
    engine = dataclasses.replace(
        cluster.engine,
        stanza=stanza,
        configuration=Path(configuration) if configuration else cluster.configuration,
    )
    running = job(PhysicalCheck)
    running.target = dataclasses.replace(running.target, physical=engine)

    with pytest.raises(OperationFailed, match=expected):
        PhysicalCheck().perform(running)


def test_a_server_without_archiving_is_reported_with_the_setting(
    job: Callable[..., FakeJob], make_database: Callable[..., str]
) -> None:
    running = job(PhysicalCheck)
    elsewhere = FakeJob(
        parse_url(make_database()),
        params=running.params,
        physical=running.physical,
        backup_catalog=running.backup_catalog,
    )

    with pytest.raises(OperationFailed, match=r"archive_mode is off.*archive-push %p"):
        PhysicalCheck().perform(elsewhere)
    elsewhere.close()


def test_a_target_without_an_engine_is_reported_with_the_setting(job: Callable[..., FakeJob]) -> None:
    running = job(PhysicalCheck)
    running.target = dataclasses.replace(running.target, physical=None)

    with pytest.raises(OperationFailed, match=r"no physical engine.*settings"):
        PhysicalCheck().perform(running)
