"""Tests for the operations that apply migrations and report their status."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deployctl.operations.framework.base import OperationFailed
from deployctl.operations.kinds.migrate import Migrate
from deployctl.operations.kinds.migration_status import MigrationStatus
from tests.operations.projects import healthcare, job_for, prisma_project, rows

Database = Callable[..., str]


def test_migrate_applies_everything_and_checks_the_status(tmp_path: Path, make_database: Database) -> None:
    job = job_for(healthcare(tmp_path), make_database())

    outcome = Migrate().perform(job)

    assert outcome.summary.startswith("Applied 6 migrations in ")
    assert outcome.facts["newly_applied"] == outcome.facts["applied"]
    assert job.steps[-1] == ("Check the migration status", "succeeded")
    assert Migrate().perform(job).summary == "Nothing to apply: all 6 migrations are already applied."


def test_status_fails_while_migrations_are_pending(tmp_path: Path, make_database: Database) -> None:
    job = job_for(healthcare(tmp_path), make_database())

    with pytest.raises(OperationFailed, match=r"not up to date\. Pending: 20250106090000_init, "):
        MigrationStatus().perform(job)
    Migrate().perform(job)
    assert MigrationStatus().perform(job).facts["pending"] == []


def test_status_changes_nothing_in_an_empty_database(tmp_path: Path, make_database: Database) -> None:
    url = make_database()
    project = prisma_project(tmp_path, {"1_one": "SELECT 1"})
    with pytest.raises(OperationFailed):
        MigrationStatus().perform(job_for(project, url))

    assert rows(url, "SELECT to_regclass('_prisma_migrations')") == [(None,)]


def test_status_reports_failed_and_edited_migrations(tmp_path: Path, make_database: Database) -> None:
    url = make_database()
    one = {"1_one": "CREATE TABLE one ();"}
    with pytest.raises(OperationFailed):
        Migrate().perform(job_for(prisma_project(tmp_path, one | {"2_two": "SELEC 1"}), url))

    edited = prisma_project(tmp_path, {"1_one": "CREATE TABLE uno ();"})
    with pytest.raises(
        OperationFailed, match=r"2_two failed at .*syntax error.*Edited after they were applied: 1_one"
    ):
        MigrationStatus().perform(job_for(edited, url))
