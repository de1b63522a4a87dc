"""Test that the real Prisma CLI and `prisma_files` agree, whichever runs first."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from deployctl.operations.application.project import Project
from deployctl.operations.framework.base import OperationFailed
from deployctl.operations.kinds.migrate import Migrate
from deployctl.operations.kinds.migration_status import MigrationStatus
from deployctl.operations.migrations import migrator_for
from deployctl.postgres.tools import find_tool
from tests.examples.conftest import MakeProject
from tests.operations.projects import job_for, rows

Database = Callable[..., str]
Npm = Callable[..., subprocess.CompletedProcess[str]]
# Each call of the CLI takes seconds on a busy machine, and a test makes up to ten.
pytestmark = pytest.mark.timeout(900)

RECORDS = """
    SELECT checksum, migration_name, logs, rolled_back_at, applied_steps_count,
           finished_at >= started_at, length(id), finished_at IS NULL
    FROM _prisma_migrations ORDER BY started_at
"""


def prisma(npm: Npm, project: Project, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return npm(project, url, "migrate", *arguments, program="node_modules/.bin/prisma")


def dumped_schema(url: str) -> str:
    """Return the schema from pg_dump, without lines that differ from dump to dump."""
    with psycopg.connect(url) as connection:
        tool = find_tool("pg_dump", server_major=connection.info.server_version // 10000)
    dump = subprocess.run(
        [str(tool.path), "--schema-only", "--no-owner", "--dbname", url],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return re.sub(r"^(?:\\(?:un)?restrict .*|-- .*)$", "", dump, flags=re.MULTILINE)


def keep_migrations(project: Project, count: int) -> None:
    """Leave only the first few migrations in the project."""
    for folder in sorted(path for path in project_migrations(project).iterdir() if path.is_dir())[count:]:
        shutil.rmtree(folder)


def project_migrations(project: Project) -> Path:
    return project.folder / "prisma" / "migrations"


def break_last_migration(*projects: Project) -> tuple[str, str]:
    """Add an error to the last migration of each project; return its name and its original content."""
    for project in projects:
        last = max(path for path in project_migrations(project).iterdir() if path.is_dir())
        good = (last / "migration.sql").read_text()
        (last / "migration.sql").write_text("SELEC 1")
    return last.name, good


def test_the_cli_is_up_to_date_after_prisma_files(
    installed_project: MakeProject, make_database: Database, npm: Npm
) -> None:
    project, url = installed_project("prisma_files"), make_database()
    Migrate().perform(job_for(project, url))

    status = npm(project, url, "prisma", "migrate", "status", program="npx")
    assert (status.returncode, "Database schema is up to date!" in status.stdout) == (0, True), status
    assert "No pending migrations to apply." in prisma(npm, project, url, "deploy").stdout


def test_prisma_files_has_nothing_to_apply_after_the_cli(
    installed_project: MakeProject, make_database: Database, npm: Npm
) -> None:
    project, url = installed_project("prisma_files"), make_database()
    assert prisma(npm, project, url, "deploy").returncode == 0

    assert MigrationStatus().perform(job_for(project, url)).facts["pending"] == []
    assert Migrate().perform(job_for(project, url)).facts["newly_applied"] == []


def test_both_tools_produce_the_same_records_and_schema(
    installed_project: MakeProject, make_database: Database, npm: Npm
) -> None:
    project, by_cli, by_files = installed_project("prisma_files"), make_database(), make_database()
    prisma(npm, project, by_cli, "deploy")
    Migrate().perform(job_for(project, by_files))

    assert len(rows(by_cli, RECORDS)) == 6
    assert rows(by_files, RECORDS) == rows(by_cli, RECORDS)
    assert dumped_schema(by_files) == dumped_schema(by_cli)


@pytest.mark.parametrize("first", ["prisma", "prisma_files"])
def test_each_tool_continues_the_work_of_the_other(
    installed_project: MakeProject, make_database: Database, npm: Npm, first: str
) -> None:
    url = make_database()
    half, whole = installed_project(first), installed_project({"prisma": "prisma_files"}.get(first, "prisma"))
    keep_migrations(half, 3)

    assert len(Migrate().perform(job_for(half, url)).facts["newly_applied"]) == 3  # type: ignore[arg-type]
    assert len(Migrate().perform(job_for(whole, url)).facts["newly_applied"]) == 3  # type: ignore[arg-type]

    assert prisma(npm, whole, url, "status").returncode == 0
    assert len(rows(url, RECORDS)) == 6


@pytest.mark.parametrize("first", ["prisma", "prisma_files"])
def test_a_failed_migration_blocks_both_tools_until_it_is_resolved(
    installed_project: MakeProject, make_database: Database, npm: Npm, first: str
) -> None:
    url = make_database()
    projects = {tool: installed_project(tool) for tool in ("prisma", "prisma_files")}
    last, good = break_last_migration(*projects.values())

    with pytest.raises(OperationFailed, match=f"The migration {last} failed: .*syntax error"):
        Migrate().perform(job_for(projects[first], url))

    for project in projects.values():
        with pytest.raises(OperationFailed, match=f"Nothing was applied. The migration {last} failed at"):
            migrator_for(project).apply(job_for(project, url))
    assert "P3009" in prisma(npm, projects["prisma"], url, "deploy").stderr

    resolved = prisma(npm, projects["prisma"], url, "resolve", "--rolled-back", last)
    assert resolved.returncode == 0, resolved
    for project in projects.values():
        (project_migrations(project) / last / "migration.sql").write_text(good)
    other = projects["prisma_files" if first == "prisma" else "prisma"]
    assert Migrate().perform(job_for(other, url)).facts["newly_applied"] == [last]
    assert prisma(npm, projects["prisma"], url, "status").returncode == 0


def test_both_tools_refuse_a_schema_that_is_not_empty(
    installed_project: MakeProject, make_database: Database
) -> None:
    url = make_database()
    rows(url, "CREATE TABLE customers ()")

    with pytest.raises(OperationFailed, match="P3005"):
        Migrate().perform(job_for(installed_project("prisma"), url))
    with pytest.raises(OperationFailed, match="P3005"):
        Migrate().perform(job_for(installed_project("prisma_files"), url))
