"""Tests for rehearsals, which run the migrations on a copy and report their locks and rewrites."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from deployctl.operations.framework.base import OperationFailed
from deployctl.operations.framework.fakes import FakeJob
from deployctl.operations.kinds.migrate import Migrate
from deployctl.operations.kinds.rehearse import Rehearse
from deployctl.postgres.connection import ConnectionSpec, parse_url
from tests.operations import projects, restores

ONE = {
    "1_one": "CREATE TABLE one (id int PRIMARY KEY, note text); CREATE TABLE other (id int);"
    " INSERT INTO one SELECT n, 'x' FROM generate_series(1, 1000) n;"
}


@pytest.fixture
def shop(tmp_path: Path, make_database: Callable[..., str]) -> ConnectionSpec:
    url = make_database()
    Migrate().perform(projects.job_for(projects.prisma_project(tmp_path / "project", ONE), url))
    return parse_url(url)


def rehearsal(spec: ConnectionSpec, tmp_path: Path, migrations: dict[str, str]) -> FakeJob:
    artefact = restores.back_up(spec, tmp_path)
    job = restores.job_for(Rehearse, spec, tmp_path, [artefact])
    project = projects.prisma_project(tmp_path / "project", ONE | migrations)
    job.target = dataclasses.replace(job.target, project=project)
    return job


def test_a_rehearsal_reports_locks_and_leaves_the_target_unchanged(
    shop: ConnectionSpec, tmp_path: Path
) -> None:
    job = rehearsal(
        shop,
        tmp_path,
        {
            # Held for long enough to be observed on a busy machine.
            "2_two": "ALTER TABLE one ALTER COLUMN id TYPE bigint; SELECT pg_sleep(1);",
            "3_three": "ALTER TABLE other ADD note text;",
        },
    )

    began = time.monotonic()
    outcome = Rehearse().perform(job)
    took = time.monotonic() - began

    facts: Mapping[str, Any] = outcome.facts
    assert facts["applied"] == ["2_two", "3_three"]
    assert "rewritten tables: public.one." in outcome.summary
    assert [found["name"] for found in facts["rewritten"]] == ["public.one"]
    locks = {lock["table"]: lock for lock in facts["locks"]}
    assert locks["public.one"]["mode"] == "AccessExclusiveLock"
    assert locks["public.one"]["seconds"] > 0
    assert 1 <= facts["duration_s"] <= round(took, 3)
    assert projects.rows(shop.url, "SELECT count(*) FROM _prisma_migrations") == [(1,)]
    assert restores.databases_of(shop) == [shop.dbname]


def test_a_migration_that_fails_on_the_copy_fails_the_rehearsal(shop: ConnectionSpec, tmp_path: Path) -> None:
    job = rehearsal(shop, tmp_path, {"2_two": "ALTER TABLE one ADD CHECK (id < 100);"})

    with pytest.raises(OperationFailed) as caught:
        Rehearse().perform(job)

    assert "The rehearsal failed. The migration 2_two failed: check constraint" in str(caught.value)
    assert "The target is unchanged" in str(caught.value)
    assert restores.databases_of(shop) == [shop.dbname]


def test_a_rehearsal_needs_pending_migrations(shop: ConnectionSpec, tmp_path: Path) -> None:
    assert Rehearse().perform(rehearsal(shop, tmp_path, {})).summary.startswith("Nothing to rehearse: ")


def test_a_rehearsal_needs_a_backup(shop: ConnectionSpec, tmp_path: Path) -> None:
    job = restores.job_for(Rehearse, shop, tmp_path, [])
    job.target = dataclasses.replace(job.target, project=projects.prisma_project(tmp_path / "project", ONE))

    with pytest.raises(OperationFailed, match="shop has no backup"):
        Rehearse().perform(job)
