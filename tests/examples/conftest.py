"""Fixtures for the sample application with the real Prisma CLI."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from deployctl.operations.application.project import Project
from tests import npm_packages
from tests.operations.projects import HEALTHCARE, healthcare


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The installed packages from the lock file of the sample application."""
    try:
        return npm_packages.node_modules(HEALTHCARE, "prisma")
    except npm_packages.NotInstalled as error:
        pytest.fail(f"These tests run the real Prisma CLI. {error}", pytrace=False)


NPM_TIMEOUT_S = 240

MakeProject = Callable[..., Project]


@pytest.fixture
def installed_project(tmp_path: Path, node_modules: Path) -> MakeProject:
    """`installed_project(tool="prisma")` returns a copy of the sample application with its npm packages."""

    def make(tool: str = "prisma") -> Project:
        project = healthcare(tmp_path / tool, tool=tool)
        (project.folder / "node_modules").symlink_to(node_modules)
        return project

    return make


@pytest.fixture
def npm() -> Callable[..., subprocess.CompletedProcess[str]]:
    """`npm(project, url, "run", "db:seed:prod", …)` runs npm or another program in a project."""

    def run(
        project: Project,
        url: str,
        *arguments: str,
        program: str = "npm",
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, *arguments],
            cwd=project.folder,
            env={
                **os.environ,
                "DATABASE_URL": url,
                "CHECKPOINT_DISABLE": "1",
                "NO_COLOR": "1",
                **(env or {}),
            },
            capture_output=True,
            text=True,
            timeout=NPM_TIMEOUT_S,
            check=False,
        )

    return run
