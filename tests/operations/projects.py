"""Projects for tests: a copy of the sample application, or a few files."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from deployctl.operations.application.project import Project
from deployctl.operations.framework.fakes import FakeJob
from deployctl.operations.migrations import lock_observers
from deployctl.postgres.connection import parse_url

HEALTHCARE = Path(__file__).resolve().parents[2] / "examples" / "healthcare"
ADMIN_PASSWORD = "correct horse battery staple"
PRISMA_FILES = '[migrations]\ntool = "prisma_files"\n'


def healthcare(folder: Path, *, tool: str = "prisma_files") -> Project:
    """Return a copy of the sample application that a test can change."""
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / "healthcare"
    shutil.copytree(HEALTHCARE, copy, ignore=shutil.ignore_patterns("node_modules", "generated"))
    file = copy / "deployctl.toml"
    file.write_text(file.read_text().replace('tool = "prisma_files"', f'tool = "{tool}"'))
    return Project.load(copy, [folder])


def write_project(folder: Path, toml: str, files: Mapping[str, str] | None = None) -> Project:
    """Write the files of a project; names are paths inside it."""
    for name, content in {"deployctl.toml": toml, **(files or {})}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return Project.load(folder, [folder])


def prisma_project(folder: Path, migrations: Mapping[str, str]) -> Project:
    """Write a Prisma project with these migrations, by name."""
    (folder / "prisma" / "migrations").mkdir(parents=True, exist_ok=True)
    files = {f"prisma/migrations/{name}/migration.sql": script for name, script in migrations.items()}
    return write_project(folder, PRISMA_FILES, files)


def job_for(project: Project | None, url: str, **more: Any) -> FakeJob:
    """Return a job on a database."""
    return FakeJob(parse_url(url), project, **more)


def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Detect lock holders long before a short lock timeout, even on a busy machine."""
    monkeypatch.setattr(lock_observers, "WATCH_EVERY_S", 0.02)


def is_running(url: str, text: str) -> bool:
    """Return True if another session in the database is running a statement that contains this text."""
    statement = (
        "SELECT 1 FROM pg_stat_activity WHERE strpos(query, %s) > 0 AND state = 'active'"
        " AND pid <> pg_backend_pid() AND datname = current_database()"
    )
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(statement, (text,)).fetchone() is not None


def rows(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement in a new session and return its rows."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []
