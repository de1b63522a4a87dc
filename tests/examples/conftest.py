"""The real Prisma CLI."""

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
    """The packages of the sample application, as its lock file says."""
    try:
        return npm_packages.node_modules(HEALTHCARE, "prisma")
    except npm_packages.NotInstalled as why:
        pytest.fail(f"These tests run the real Prisma CLI. {why}", pytrace=False)


# Seconds on a quiet machine.
ENDS_WITHIN_S = 240

MakeProject = Callable[..., Project]


@pytest.fixture
def installed_project(tmp_path: Path, node_modules: Path) -> MakeProject:
    """A factory of copies of the sample application after `npm ci`: `installed_project(tool="prisma")`."""

    def make(tool: str = "prisma") -> Project:
        project = healthcare(tmp_path / tool, tool=tool)
        (project.folder / "node_modules").symlink_to(node_modules)
        return project

    return make


@pytest.fixture
def npm() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a program of a project as its developer would: `npm(project, url, "run", "db:seed:prod", …)`."""

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
            timeout=ENDS_WITHIN_S,
            check=False,
        )

    return run
