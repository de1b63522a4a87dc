"""Tests for applying Django and Alembic migrations of real projects."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import psycopg
import pytest

from deployctl.operations.application.project import Project
from deployctl.operations.framework.base import Cancelled, OperationFailed
from deployctl.operations.framework.fakes import FakeJob
from deployctl.operations.kinds.migrate import Migrate
from deployctl.operations.kinds.migration_status import MigrationStatus
from deployctl.operations.migrations import migrator_for
from deployctl.operations.migrations.base import Status
from tests.operations.projects import is_running, job_for, look_often, rows
from tests.operations.python_projects import SQLITE, alembic_project, django_project
from tests.waiting import until

Database = Callable[..., str]

# Each status check starts the project's Python.
pytestmark = pytest.mark.timeout(180)

ONE = {"0001_one": "CREATE TABLE one (id int)"}
TWO = ONE | {"0002_two": "CREATE TABLE two (id int)"}


class MakeProject(Protocol):
    """The common signature of the functions that create a project."""

    def __call__(self, folder: Path, migrations: Mapping[str, str], /) -> Project: ...


@pytest.fixture(params=["django", "alembic"])
def make_project(request: pytest.FixtureRequest) -> MakeProject:
    """Return the function that creates a project; Django's records name its migrations "clinic.0001_one"."""
    return django_project if request.param == "django" else alembic_project


def names(status: tuple[str, ...]) -> list[str]:
    return [name.removeprefix("clinic.") for name in status]


def status_of(job: FakeJob) -> Status:
    assert job.target.project is not None
    return migrator_for(job.target.project).status(job)


def test_all_migrations_are_applied_and_reported(
    tmp_path: Path, make_database: Database, make_project: MakeProject
) -> None:
    url = make_database()
    job = job_for(make_project(tmp_path, TWO), url)
    with pytest.raises(OperationFailed, match=r"not up to date\. Pending: .*0001_one, .*0002_two"):
        MigrationStatus().perform(job)
    assert rows(url, "SELECT to_regclass('one')") == [(None,)]

    outcome = Migrate().perform(job)

    assert outcome.summary.startswith("Applied 2 migrations in ")
    assert (job.progress[-1].done, job.progress[-1].total) == (2, 2)
    assert rows(url, "SELECT to_regclass('two') IS NULL") == [(False,)]
    facts = MigrationStatus().perform(job).facts
    assert facts["pending"] == []
    # The checksums of the current files, because the tools store none.
    checksums = facts["checksums"]
    assert isinstance(checksums, dict)
    assert {name.rpartition(".")[2] for name in checksums} >= {"0001_one", "0002_two"}
    assert all(len(str(digest)) == 64 for digest in checksums.values())
    assert Migrate().perform(job).facts["newly_applied"] == []


def test_a_failure_reports_what_was_applied_and_rolled_back(
    tmp_path: Path, make_database: Database, make_project: MakeProject
) -> None:
    url = make_database()
    more = {"0003_three": "CREATE TABLE three (); SELEC 1", "0004_four": "SELECT 1"}
    project = make_project(tmp_path, TWO | more)

    with pytest.raises(OperationFailed) as caught:
        Migrate().perform(job_for(project, url))

    assert "are not applied" in str(caught.value)
    assert "0003_three and the later ones" in str(caught.value)
    assert "syntax error" in str(caught.value)
    assert "and they remain applied: " in str(caught.value)
    assert rows(url, "SELECT to_regclass('two') IS NULL, to_regclass('three')") == [(False, None)]
    assert names(status_of(job_for(project, url)).pending) == ["0003_three", "0004_four"]


def test_a_lock_timeout_fails_and_names_the_blocker(
    tmp_path: Path, make_database: Database, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployctl.operations.migrations.python_project.LOCK_TIMEOUT_S", 2)
    look_often(monkeypatch)
    url = make_database()
    Migrate().perform(job_for(make_project(tmp_path, ONE), url))
    project = make_project(tmp_path, ONE | {"0002_two": "ALTER TABLE one ADD COLUMN name text"})

    with psycopg.connect(url, application_name="forgotten editor") as blocker:
        blocker.execute("SELECT count(*) FROM one")
        with pytest.raises(OperationFailed, match=r"It waited 2 s for a lock\. Held by session") as caught:
            Migrate().perform(job_for(project, url))

    assert "forgotten editor" in str(caught.value)
    assert names(status_of(job_for(project, url)).pending) == ["0002_two"]


def test_a_cancellation_ends_the_tool_and_its_sessions(
    tmp_path: Path, make_database: Database, make_project: MakeProject
) -> None:
    url = make_database()
    job = job_for(make_project(tmp_path, {"0001_one": "SELECT pg_sleep(600)"}), url)

    def cancel_when_it_runs() -> None:
        try:
            until(lambda: is_running(url, "pg_sleep(600)"))
        finally:
            job.cancel()

    canceller = threading.Thread(target=cancel_when_it_runs)
    canceller.start()
    with pytest.raises(Cancelled):
        Migrate().perform(job)
    canceller.join()

    until(lambda: not is_running(url, "pg_sleep(600)"), seconds=5)


def test_a_database_ahead_of_the_project_is_reported(
    tmp_path: Path, make_database: Database, make_project: MakeProject
) -> None:
    url = make_database()
    Migrate().perform(job_for(make_project(tmp_path / "new", TWO), url))
    older = job_for(make_project(tmp_path / "old", ONE), url)

    assert names(status_of(older).unknown) == ["0002_two"]
    with pytest.raises(OperationFailed, match="Applied but missing from the project"):
        MigrationStatus().perform(older)


def test_the_schema_of_the_url_is_used(
    tmp_path: Path, make_database: Database, make_project: MakeProject
) -> None:
    url = make_database()
    rows(url, 'CREATE SCHEMA "Clinic A"')
    job = job_for(make_project(tmp_path, ONE), f"{url}?schema=Clinic%20A&connection_limit=5")

    Migrate().perform(job)

    found = """SELECT to_regclass('"Clinic A".one') IS NULL, to_regclass('public.one')"""
    assert rows(url, found) == [(False, None)]


def test_django_with_another_database_is_rejected(tmp_path: Path, make_database: Database) -> None:
    project = django_project(tmp_path, ONE, settings=SQLITE)

    with pytest.raises(OperationFailed, match="settings use sqlite instead of the target"):
        Migrate().perform(job_for(project, make_database()))


def test_alembic_with_another_database_is_rejected_if_they_differ(
    tmp_path: Path, make_database: Database
) -> None:
    url, other = make_database(), make_database()
    Migrate().perform(job_for(alembic_project(tmp_path, TWO), url))
    (tmp_path / "alembic_scripts/env.py").write_text(
        (tmp_path / "alembic_scripts/env.py").read_text().replace('os.environ["DATABASE_URL"]', repr(other))
    )

    with pytest.raises(OperationFailed, match="Alembic and the table alembic_version in the target disagree"):
        Migrate().perform(job_for(alembic_project_of(tmp_path), url))


def alembic_project_of(folder: Path) -> Project:
    return Project.load(folder, [folder])


def test_a_squashed_migration_is_applied_if_all_replaced_ones_are(
    tmp_path: Path, make_database: Database
) -> None:
    url = make_database()
    Migrate().perform(job_for(django_project(tmp_path, TWO), url))
    squashed = (
        "class Migration(migrations.Migration):\n"
        "    replaces = [('clinic', '0001_one'), ('clinic', '0002_two')]\n"
        "    operations = [migrations.RunSQL('SELECT 1')]\n"
    )
    project = django_project(tmp_path, {"0001_squashed_0002": squashed})
    (tmp_path / "clinic/migrations/0001_one.py").unlink()
    (tmp_path / "clinic/migrations/0002_two.py").unlink()

    status = status_of(job_for(project, url))

    assert (status.applied, status.up_to_date) == (("clinic.0001_squashed_0002",), True)


def test_both_of_two_alembic_heads_are_applied(tmp_path: Path, make_database: Database) -> None:
    url = make_database()
    project = alembic_project(tmp_path, TWO)
    (tmp_path / "alembic_scripts/versions/branch_step.py").write_text(
        "revision = 'branch'\ndown_revision = '0001_one'\n\n\ndef upgrade():\n    pass\n"
    )

    Migrate().perform(job_for(project, url))

    assert rows(url, "SELECT version_num FROM alembic_version ORDER BY 1") == [("0002_two",), ("branch",)]
    assert status_of(job_for(project, url)).up_to_date


@pytest.mark.parametrize(("tool", "file"), [("django", "manage.py"), ("alembic", "alembic.ini")])
def test_a_folder_without_the_main_file_is_reported(tmp_path: Path, tool: str, file: str) -> None:
    (tmp_path / "deployctl.toml").write_text(f'[migrations]\ntool = "{tool}"\n')
    project = Project.load(tmp_path, [tmp_path])

    with pytest.raises(OperationFailed, match=f"has no {file}"):
        MigrationStatus().perform(job_for(project, "postgresql://nobody@127.0.0.1:1/none"))


def test_the_password_is_only_in_the_tools_environment(
    tmp_path: Path, make_database: Database, make_project: MakeProject
) -> None:
    url = make_database()
    password = url.split(":")[2].split("@")[0]
    job = job_for(make_project(tmp_path, ONE), url)

    Migrate().perform(job)

    assert password.encode() not in job.output
    assert password not in job.text
    assert importlib.util.find_spec("clinic") is None  # the project isn't imported into this process
