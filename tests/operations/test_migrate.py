"""Migrating and its status, as operations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deployctl.operations.framework.base import OperationFailed
from deployctl.operations.kinds.migrate import Migrate
from deployctl.operations.kinds.migration_status import MigrationStatus
from tests.operations.projects import healthcare, job_for, prisma_project, rows

Database = Callable[..., str]


def test_migrate_applies_everything_and_reads_it_back(tmp_path: Path, make_database: Database) -> None:
    job = job_for(healthcare(tmp_path), make_database())

    outcome = Migrate().perform(job)

    assert outcome.summary.startswith("Applied 6 migrations in ")
    assert outcome.facts["newly_applied"] == outcome.facts["applied"]
    assert job.steps[-1] == ("Read the status back", "succeeded")
    assert Migrate().perform(job).summary == "Nothing to apply: all 6 migrations were there already."


def test_status_fails_naming_what_is_pending_and_succeeds_when_nothing_is(
    tmp_path: Path, make_database: Database
) -> None:
    job = job_for(healthcare(tmp_path), make_database())

    with pytest.raises(OperationFailed, match=r"not up to date\. Not yet applied: 20250106090000_init, "):
        MigrationStatus().perform(job)
    Migrate().perform(job)
    assert MigrationStatus().perform(job).facts["pending"] == []


def test_status_of_an_empty_database_leaves_it_empty(tmp_path: Path, make_database: Database) -> None:
    url = make_database()
    project = prisma_project(tmp_path, {"1_one": "SELECT 1"})
    with pytest.raises(OperationFailed):
        MigrationStatus().perform(job_for(project, url))

    assert rows(url, "SELECT to_regclass('_prisma_migrations')") == [(None,)]


def test_status_names_a_failure_and_an_edit(tmp_path: Path, make_database: Database) -> None:
    url = make_database()
    one = {"1_one": "CREATE TABLE one ();"}
    with pytest.raises(OperationFailed):
        Migrate().perform(job_for(prisma_project(tmp_path, one | {"2_two": "SELEC 1"}), url))

    edited = prisma_project(tmp_path, {"1_one": "CREATE TABLE uno ();"})
    with pytest.raises(
        OperationFailed, match=r"2_two failed at .*syntax error.*Edited after they were applied: 1_one"
    ):
        MigrationStatus().perform(job_for(edited, url))
