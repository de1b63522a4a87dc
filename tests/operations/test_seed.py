"""Seeding a database, passing the administrator's password, and counting the rows afterwards."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from deployctl.operations.application.project import Project
from deployctl.operations.framework.base import OperationFailed, ProcessFailed
from deployctl.operations.framework.fakes import FakeJob
from deployctl.operations.kinds.migrate import Migrate
from deployctl.operations.kinds.seed import Seed
from deployctl.secrets import SecretError
from tests.operations.projects import ADMIN_PASSWORD, PRISMA_FILES, healthcare, job_for, rows, write_project

Database = Callable[..., str]


@pytest.fixture
def url(make_database: Database) -> str:
    return make_database()


@pytest.fixture
def project(tmp_path: Path, url: str) -> Project:
    project = healthcare(tmp_path)
    Migrate().perform(job_for(project, url))
    return project


def seed_job(project: Project, url: str, password: str = ADMIN_PASSWORD) -> FakeJob:
    return job_for(project, url, secrets={"ADMIN_DEFAULT_PASSWORD": password})


def test_the_sample_application_is_seeded_and_counted(project: Project, url: str) -> None:
    outcome = Seed().perform(seed_job(project, url))

    assert outcome.facts["counts"] == {"Plan": 6, "HealthPackage": 5, "DiagnosticTest": 5}
    assert outcome.facts["admins"] == 1
    assert outcome.summary == "Seeded: 6 Plan, 5 HealthPackage, 5 DiagnosticTest."


def test_seeding_again_changes_nothing(project: Project, url: str) -> None:
    Seed().perform(seed_job(project, url))
    rows(url, """UPDATE "Plan" SET "priceMinor" = 1 WHERE slug = 'family-yearly'""")
    before = rows(url, 'SELECT * FROM "Plan" ORDER BY id') + rows(url, 'SELECT * FROM "User"')

    Seed().perform(seed_job(project, url, "another password that is long"))

    assert rows(url, 'SELECT * FROM "Plan" ORDER BY id') + rows(url, 'SELECT * FROM "User"') == before


def test_the_password_is_stored_as_a_scrypt_hash(project: Project, url: str) -> None:
    job = seed_job(project, url)
    Seed().perform(job)

    ((stored, must_change),) = rows(url, 'SELECT "passwordHash", "mustChangePassword" FROM "User"')
    _, scheme, parameters, salt, key = stored.split("$")
    assert (scheme, parameters) == ("scrypt", "ln=15,r=8,p=3")
    expected = hashlib.scrypt(
        ADMIN_PASSWORD.encode(), salt=base64.b64decode(salt + "=="), n=2**15, r=8, p=3, maxmem=2**26, dklen=32
    )
    assert base64.b64decode(key + "=") == expected
    assert must_change is True
    assert ADMIN_PASSWORD not in job.text + job.output.decode()


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("YourSecurePassword123!", "is the example from the guide"),
        ("yoursecurepassword123!", "is the example from the guide"),
        ("fifteen letters", "is shorter than 16 characters"),
        ("", "is not set"),
    ],
)
def test_a_weak_password_is_refused_and_nothing_is_written(
    project: Project, url: str, password: str, words: str
) -> None:
    with pytest.raises(ProcessFailed, match=f"{words}. Nothing was changed"):
        Seed().perform(seed_job(project, url, password))
    assert rows(url, 'SELECT count(*) FROM "Plan"') == [(0,)]


def test_without_the_secret_nothing_runs(project: Project, url: str) -> None:
    job = job_for(project, url)

    with pytest.raises(SecretError, match="has no secret ADMIN_DEFAULT_PASSWORD"):
        Seed().perform(job)
    assert job.output == b""


def test_seeding_before_the_migrations_fails(tmp_path: Path, url: str) -> None:
    with pytest.raises(ProcessFailed, match="The seed failed and was rolled back"):
        Seed().perform(seed_job(healthcare(tmp_path), url))


def test_a_seed_that_inserts_nothing_fails(tmp_path: Path, url: str) -> None:
    rows(url, 'CREATE TABLE "Plan" ()')
    toml = PRISMA_FILES + '[commands]\nseed = ["{python}", "-c", "pass"]\n[expect.counts]\nPlan = 6'

    with pytest.raises(OperationFailed, match="The seed command succeeded, but Plan has 0 rows instead of 6"):
        Seed().perform(seed_job(write_project(tmp_path, toml), url))


def test_the_schema_in_prismas_url_is_used(tmp_path: Path, url: str) -> None:
    project = healthcare(tmp_path)
    elsewhere = f"{url}?schema=clinic&connection_limit=3"
    Migrate().perform(job_for(project, elsewhere))

    Seed().perform(seed_job(project, elsewhere))

    assert rows(url, 'SELECT count(*) FROM clinic."Plan"') == [(6,)]
