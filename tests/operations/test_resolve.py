"""Tests for resolving a failed migration in two runs: show the schema, then mark the migration."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from deployctl.operations.application.project import Project
from deployctl.operations.framework.base import OperationFailed, Outcome
from deployctl.operations.framework.fakes import FakeJob
from deployctl.operations.kinds.migrate import Migrate
from deployctl.operations.kinds.resolve import Resolve
from tests.operations.projects import job_for, look_often, prisma_project, rows, write_project

Database = Callable[..., str]

LEAVES_A_TABLE = "CREATE TABLE one (id int NOT NULL);\nCOMMIT;\nSELECT 1/0;"


@pytest.fixture
def url(make_database: Database) -> str:
    return make_database()


@pytest.fixture
def project(tmp_path: Path, url: str) -> Project:
    """Return a project with a migration that failed after it created a table."""
    made = prisma_project(tmp_path, {"1_one": "BEGIN;\n" + LEAVES_A_TABLE})
    with pytest.raises(OperationFailed, match="division by zero"):
        Migrate().perform(job_for(made, url))
    return made


def resolve(job: FakeJob, migration: str, state: str = "") -> Outcome:
    job.params = Resolve.parse_params({"migration": migration, "state": state})
    return Resolve().perform(job)


def state_shown(job: FakeJob) -> str:
    with pytest.raises(OperationFailed, match="was not marked yet") as caught:
        resolve(job, "1_one")
    found = re.search(r"with the state (\w{12})\.", str(caught.value))
    assert found
    return found[1]


def test_the_first_run_shows_the_schema_and_marks_nothing(project: Project, url: str) -> None:
    job = job_for(project, url)

    state_shown(job)

    assert "division by zero" in job.text
    assert "Objects named in 1_one that exist now" in job.text
    assert ("warning", "  table one: id integer not null") in job.lines
    assert rows(url, "SELECT rolled_back_at FROM _prisma_migrations") == [(None,)]


def test_the_second_run_marks_the_migration_as_rolled_back(project: Project, url: str) -> None:
    rows(url, "DROP TABLE one")
    job = job_for(project, url)
    state = state_shown(job)
    assert "No object named in 1_one exists now." in job.text

    outcome = resolve(job, "1_one", state)

    assert outcome.summary == "Marked 1_one as rolled back; it is pending again."
    assert outcome.facts["pending"] == ["1_one"]
    assert rows(url, "SELECT finished_at, rolled_back_at IS NOT NULL FROM _prisma_migrations") == [
        (None, True)
    ]
    assert job.steps[-2:] == [
        ("Mark 1_one as rolled back", "succeeded"),
        ("Check the migration status", "succeeded"),
    ]
    with pytest.raises(OperationFailed, match=r"1_one is not recorded as failed\. No migration is"):
        resolve(job, "1_one", state)


def test_a_schema_that_changed_since_it_was_shown_is_shown_again(project: Project, url: str) -> None:
    job = job_for(project, url)
    state = state_shown(job)
    rows(url, "ALTER TABLE one ADD COLUMN note text")

    with pytest.raises(OperationFailed, match=rf"the schema's state is \w{{12}}, not {state}\."):
        resolve(job, "1_one", state)
    assert rows(url, "SELECT rolled_back_at FROM _prisma_migrations") == [(None,)]


@pytest.mark.parametrize("name", ["1_on", "1_one ", "--help", "'; DROP TABLE one; --"])
def test_another_name_is_rejected_with_the_failed_ones(project: Project, url: str, name: str) -> None:
    with pytest.raises(OperationFailed, match=r"is not recorded as failed\. Failed migrations: 1_one\."):
        resolve(job_for(project, url), name)


def test_a_running_migration_is_not_a_failed_one(
    project: Project, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployctl.operations.migrations.prisma_history.LOCK_TIMEOUT_S", 1)
    look_often(monkeypatch)
    with psycopg.connect(url, autocommit=True, application_name="somebody's prisma") as other:
        other.execute("SELECT pg_advisory_lock(72707369)")
        with pytest.raises(OperationFailed, match=r"Nothing was changed: another migration.*is running") as c:
            resolve(job_for(project, url), "1_one")
    assert "somebody's prisma" in str(c.value)


def test_other_tools_cannot_resolve_migrations(tmp_path: Path, url: str) -> None:
    project = write_project(tmp_path, '[migrations]\ntool = "sql"\n', {"migrations/1.sql": "SELECT 1"})
    with pytest.raises(
        OperationFailed, match="only Prisma records failed migrations, and the project uses sql"
    ):
        resolve(job_for(project, url), "1")


def test_only_the_schema_of_the_url_is_shown(tmp_path: Path, url: str) -> None:
    project = prisma_project(tmp_path, {"1_one": "BEGIN;\n" + LEAVES_A_TABLE})
    rows(url, "CREATE TABLE public.neighbours ()")
    job = job_for(project, f"{url}?schema=clinic")
    with pytest.raises(OperationFailed):
        Migrate().perform(job)

    state_shown(job)

    assert "table one" in job.text
    assert "neighbours" not in job.text
