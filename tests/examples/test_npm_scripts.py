"""Test the npm scripts of the sample application."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from deployctl.operations.application.project import Project
from deployctl.operations.kinds.migrate import Migrate
from deployctl.operations.kinds.seed import Seed
from deployctl.operations.kinds.validate import Validate
from tests.examples.conftest import MakeProject
from tests.operations.projects import ADMIN_PASSWORD, HEALTHCARE, job_for, rows

# Each call of npm and of the CLI takes seconds on a busy machine.
pytestmark = pytest.mark.timeout(900)

Database = Callable[..., str]
Npm = Callable[..., subprocess.CompletedProcess[str]]
SEEDED = {
    "Plan": "slug",
    "HealthPackage": "slug",
    "DiagnosticTest": "code",
    "PackageTest": '"packageId", "testId"',
}
COLUMNS = """
    SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns
    WHERE table_schema = 'public' AND table_name <> '_prisma_migrations' ORDER BY 1, 2
"""
INDEXES = """
    SELECT indexdef FROM pg_indexes
    WHERE schemaname = 'public' AND tablename <> '_prisma_migrations' ORDER BY 1
"""
FOREIGN_KEYS = "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f' ORDER BY 1"


def run(npm: Npm, project: Project, url: str, script: str, *arguments: str, **env: str) -> str:
    done = npm(project, url, "run", script, "--", *arguments, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def content(url: str) -> dict[str, list[tuple[object, ...]]]:
    """Return the rows that a seed wrote, without timestamps and the salted hash."""
    tables = {
        table: rows(url, f"""SELECT to_jsonb(t) - 'createdAt' FROM "{table}" t ORDER BY {key}""")  # noqa: S608
        for table, key in SEEDED.items()
    }
    return tables | {"User": rows(url, 'SELECT email, name, role::text, "mustChangePassword" FROM "User"')}


def test_the_operations_of_the_checklist_work_with_npm_scripts_alone(
    tmp_path: Path, installed_project: MakeProject, make_database: Database, npm: Npm
) -> None:
    project, url, restored = installed_project("prisma"), make_database(), make_database()
    backups = tmp_path / "backups"

    run(npm, project, url, "db:generate")
    run(npm, project, url, "db:migrate:prod")
    run(npm, project, url, "db:seed:prod", ADMIN_DEFAULT_PASSWORD=ADMIN_PASSWORD)
    assert "The database is what the application expects." in run(npm, project, url, "db:validate")
    assert "Backup written to" in run(npm, project, url, "db:backup", BACKUP_DIR=str(backups))
    (backup,) = backups.iterdir()
    run(npm, project, restored, "db:restore", str(backup))

    assert content(restored) == content(url)
    assert "is what the application expects" in run(npm, project, restored, "db:validate")
    assert Validate().perform(job_for(project, restored)).facts["admins"] == 1


def test_both_seeds_write_the_same_rows(
    installed_project: MakeProject, make_database: Database, npm: Npm
) -> None:
    project, by_node, by_python = installed_project("prisma_files"), make_database(), make_database()
    for url in (by_node, by_python):
        Migrate().perform(job_for(project, url))

    run(npm, project, by_node, "db:seed:prod", ADMIN_DEFAULT_PASSWORD=ADMIN_PASSWORD)
    Seed().perform(job_for(project, by_python, secrets={"ADMIN_DEFAULT_PASSWORD": ADMIN_PASSWORD}))

    assert content(by_node) == content(by_python)
    again = run(npm, project, by_python, "db:seed:prod", ADMIN_DEFAULT_PASSWORD=ADMIN_PASSWORD)
    assert "plans: 0 added, 6 in total" in again
    assert "exists, unchanged" in again


@pytest.mark.parametrize("password", ["", "too short", "YourSecurePassword123!"])
def test_the_node_seed_refuses_the_same_passwords(
    installed_project: MakeProject, make_database: Database, npm: Npm, password: str
) -> None:
    done = npm(
        installed_project(), make_database(), "run", "db:seed:prod", env={"ADMIN_DEFAULT_PASSWORD": password}
    )

    assert done.returncode == 1
    assert "Nothing was changed." in done.stderr


def test_validation_without_a_seed_fails_with_the_missing_rows(
    installed_project: MakeProject, make_database: Database, npm: Npm
) -> None:
    project, url = installed_project("prisma_files"), make_database()
    Migrate().perform(job_for(project, url))

    done = npm(project, url, "run", "db:validate")

    assert done.returncode == 1
    assert "Plan has 0 rows instead of 6." in done.stderr
    assert "There is no administrator" in done.stderr


def test_a_restore_into_a_database_with_tables_is_refused(
    tmp_path: Path, installed_project: MakeProject, make_database: Database, npm: Npm
) -> None:
    project, url = installed_project("prisma_files"), make_database()
    Migrate().perform(job_for(project, url))

    done = npm(project, url, "run", "db:restore", "--", str(tmp_path))

    assert done.returncode == 1
    assert "has 8 tables. Nothing was changed." in done.stderr


def test_the_schema_file_matches_the_migrations(
    installed_project: MakeProject, make_database: Database, npm: Npm
) -> None:
    """The SQL that Prisma generates from the schema file creates the same tables as the migrations."""
    project, by_migrations, by_schema = installed_project("prisma_files"), make_database(), make_database()
    Migrate().perform(job_for(project, by_migrations))
    diff = ["migrate", "diff", "--from-empty", "--to-schema-datamodel", "prisma/schema.prisma", "--script"]
    script = npm(project, by_schema, *diff, program="node_modules/.bin/prisma").stdout
    rows(by_schema, script[script.index("-- Create") :])

    for statement in (COLUMNS, INDEXES, FOREIGN_KEYS):
        assert rows(by_migrations, statement) == rows(by_schema, statement)


def test_the_lock_file_contains_no_registry_url() -> None:
    lock = (HEALTHCARE / "package-lock.json").read_text()

    assert "http" not in lock
    packages = json.loads(lock)["packages"]
    assert all("integrity" in package for name, package in packages.items() if name)
