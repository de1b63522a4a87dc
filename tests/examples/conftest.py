"""The real Prisma CLI, installed once per machine and lock file."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from deployctl.operations.project import Project
from tests.operations.projects import HEALTHCARE, healthcare

INSTALLED_FILES = ("package.json", "package-lock.json", ".npmrc")


def _installed() -> Path:
    """A folder with the sample application's node_modules; shared by parallel workers and later sessions."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.fail(
            "These tests run the real Prisma CLI and need Node.js 20 with npm, which are not installed here.",
            pytrace=False,
        )
    digest = hashlib.sha256(
        b"".join((HEALTHCARE / name).read_bytes() for name in INSTALLED_FILES)
    ).hexdigest()
    folder = Path(tempfile.gettempdir()) / f"deployctl-prisma-{os.getuid()}-{digest[:16]}"
    folder.mkdir(mode=0o700, exist_ok=True)
    # Somebody else's folder of that name would be somebody else's code that we run.
    assert folder.stat().st_uid == os.getuid()
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ".done").exists():
            for name in INSTALLED_FILES:
                shutil.copy(HEALTHCARE / name, folder / name)
            done = subprocess.run(
                [npm, "ci"], cwd=folder, capture_output=True, text=True, timeout=300, check=False
            )
            if done.returncode != 0:
                pytest.fail(f"npm ci failed:\n{done.stderr[-2000:]}", pytrace=False)
            (folder / ".done").touch()
    return folder


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The packages of the sample application, as its lock file says."""
    return _installed() / "node_modules"


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
            timeout=100,
            check=False,
        )

    return run
