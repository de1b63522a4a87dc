"""Validation: every check runs, and every finding is reported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deployctl.operations.application.project import Project
from deployctl.operations.framework.base import OperationFailed
from deployctl.operations.framework.fakes import FakeJob
from deployctl.operations.kinds.migrate import Migrate
from deployctl.operations.kinds.seed import Seed
from deployctl.operations.kinds.validate import Validate
from tests.operations.projects import ADMIN_PASSWORD, PRISMA_FILES, healthcare, job_for, rows, write_project

Database = Callable[..., str]


@pytest.fixture
def url(make_database: Database) -> str:
    return make_database()


@pytest.fixture
def project(tmp_path: Path, url: str) -> Project:
    """Return the sample application, migrated and seeded."""
    project = healthcare(tmp_path)
    job = job_for(project, url, secrets={"ADMIN_DEFAULT_PASSWORD": ADMIN_PASSWORD})
    Migrate().perform(job)
    Seed().perform(job)
    return project


def finding(project: Project, url: str) -> tuple[str, FakeJob]:
    job = job_for(project, url)
    with pytest.raises(OperationFailed) as caught:
        Validate().perform(job)
    return str(caught.value), job


def test_a_valid_database_passes(project: Project, url: str) -> None:
    job = job_for(project, url)

    outcome = Validate().perform(job)

    assert outcome.facts["counts"] == {"Plan": 6, "HealthPackage": 5, "DiagnosticTest": 5}
    assert (outcome.facts["admins"], outcome.facts["orphans"], outcome.facts["foreign_keys"]) == (1, [], 7)
    assert outcome.facts["migrations_pending"] == []
    assert outcome.summary.startswith("Valid: 6 migrations applied, ")
    assert [name for name, status in job.steps if status == "succeeded"] == [
        "Migrations",
        "Expected row counts",
        "Administrator",
        "Indexes",
        "Constraints",
        "Orphaned rows",
        "Connections in use",
    ]


def test_every_finding_is_reported_and_every_step_runs(project: Project, url: str) -> None:
    rows(url, 'DELETE FROM "User"')
    rows(url, """DELETE FROM "Plan" WHERE slug = 'family-yearly'""")
    rows(url, 'ALTER TABLE "Plan" ADD CONSTRAINT cheap CHECK ("priceMinor" < 10) NOT VALID')
    later = project.folder / "prisma/migrations/20990101000000_later"
    later.mkdir()
    (later / "migration.sql").write_text("SELECT 1")

    sentence, job = finding(project, url)

    assert sentence.startswith("4 findings. Pending: 20990101000000_later.")
    assert "Plan has 5 rows instead of 6." in sentence
    assert "User has 0 rows with role = ADMIN; expected at least 1." in sentence
    assert "Constraints not validated against existing rows: public.Plan.cheap." in sentence
    assert sentence.endswith("Nothing was changed.")
    assert [status for _, status in job.steps] == [
        "failed", "failed", "failed", "succeeded", "failed", "succeeded", "succeeded",
    ]  # fmt: skip


def test_orphaned_rows_are_counted_with_samples(
    project: Project, url: str, postgres_superuser_url: str
) -> None:
    # Only a superuser can bypass a foreign key, as a restore without triggers does.
    superuser = postgres_superuser_url.rsplit("/", 1)[0] + "/" + url.rsplit("/", 1)[1]
    rows(
        superuser,
        """SET session_replication_role = replica;
           INSERT INTO "PackageTest" ("packageId", "testId") VALUES (900, 1), (901, 1)""",
    )

    sentence, _ = finding(project, url)

    assert (
        "1 finding. PackageTest.packageId: 2 rows without a row in HealthPackage "
        "(PackageTest_packageId_fkey), such as 900, 901." in sentence
    )


def test_an_invalid_index_is_a_finding(project: Project, url: str) -> None:
    rows(url, """UPDATE "Plan" SET currency = 'EUR'""")
    with pytest.raises(Exception, match="could not create unique index"):
        rows(url, 'CREATE UNIQUE INDEX CONCURRENTLY broken ON "Plan" (currency)')

    sentence, _ = finding(project, url)

    assert "Invalid indexes: public.broken." in sentence


def test_a_missing_table_is_a_finding(tmp_path: Path, url: str) -> None:
    toml = PRISMA_FILES + '[expect.counts]\nplan = 6\n[expect.admin]\ntable = "x.y"\nwhere = { a = 1 }\n'
    (tmp_path / "prisma/migrations").mkdir(parents=True)

    sentence, _ = finding(write_project(tmp_path, toml), url)

    assert "has no table plan" in sentence
    assert "has no table x.y" in sentence


def test_an_unknown_column_in_the_admin_condition_is_a_finding(project: Project, url: str) -> None:
    file = project.folder / "deployctl.toml"
    file.write_text(file.read_text().replace('role = "ADMIN"', 'rolle = "ADMIN"'))

    sentence, _ = finding(Project.load(project.folder, [project.folder]), url)

    assert "User: column rolle does not exist. Correct expect.admin.where" in sentence.replace('"', "")


def test_too_many_connections_are_a_finding(
    project: Project, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployctl.operations.kinds.validate.CONNECTIONS_LIMIT", 0.0)

    sentence, _ = finding(project, url)

    assert "connections are in use, more than 0%" in sentence
