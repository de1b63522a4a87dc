"""Tests for the validation of projects and their `deployctl.toml`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from deployctl.operations.application.project import Project, ProjectError
from deployctl.operations.framework.base import OperationFailed
from tests.operations.projects import HEALTHCARE, PRISMA_FILES, write_project


def test_the_sample_application_is_valid() -> None:
    project = Project.load(HEALTHCARE, [HEALTHCARE.parent])

    assert project.folder == HEALTHCARE
    assert project.migrations.tool == "prisma_files"
    assert project.expect.counts == {"Plan": 6, "HealthPackage": 5, "DiagnosticTest": 5}
    assert project.expect.admin is not None
    assert project.expect.admin.where == {"role": "ADMIN"}
    assert project.application.endpoints[0].path == "/api/v1/auth/register"
    assert project.command("seed") == [sys.executable, "seed/seed.py"]


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        ("", ["migrations is missing"]),
        (
            '[migrations]\ntool = "flyway"',
            ["migrations.tool: must be one of alembic, django, prisma, prisma_files, sql"],
        ),
        (
            PRISMA_FILES + '[commands]\nsed = ["x"]',
            ["commands.sed is an unknown key", "known: generate, seed"],
        ),
        (PRISMA_FILES + '[commands]\nseed = "npm run x"', ["commands.seed must be a list, not 'npm run x'"]),
        (PRISMA_FILES + "[commands]\nseed = []", ["commands.seed: must be a list of a program"]),
        (
            PRISMA_FILES + '[expect.counts]\nPlan = "6"',
            ["expect.counts.Plan: Input should be a valid integer"],
        ),
        (PRISMA_FILES + "[expect.counts]\nPlan = -1", ["expect.counts.Plan: Input should be greater"]),
        (PRISMA_FILES + '[expect]\nadmin = { table = "User" }', ["expect.admin.where is missing"]),
        (PRISMA_FILES + '[expect]\ngenerated = ["../x"]', ["expect.generated.0: must be a path inside"]),
        (PRISMA_FILES + 'folder = "/etc"', ["migrations.folder: must be a path inside"]),
        ('folder = "/etc"\n' + PRISMA_FILES, ["folder is an unknown key"]),
        (
            "extra = 1\n" + PRISMA_FILES,
            ["extra is an unknown key", "migrations, commands, expect, application"],
        ),
        (PRISMA_FILES + '[application]\nhealth = "ftp://x"', ["application.health: URL scheme"]),
        ("[migrations\n", ["isn't valid TOML", "line 1"]),
        ("x = '" + "x" * 300_000 + "'", ["larger than 256 KiB"]),
    ],
)
def test_an_invalid_file_is_rejected_with_file_and_key(
    tmp_path: Path, toml: str, expected: list[str]
) -> None:
    with pytest.raises(ProjectError) as caught:
        write_project(tmp_path, toml)

    assert str(tmp_path / "deployctl.toml") in caught.value.sentence
    for part in expected:
        assert part in caught.value.sentence


def test_all_invalid_keys_are_reported_together(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"commands\.a .*; expect\.b "):
        write_project(tmp_path, PRISMA_FILES + '[commands]\na = ["x"]\n[expect]\nb = 1')


def test_a_folder_outside_the_allowed_roots_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "allowed").mkdir()
    write_project(tmp_path / "elsewhere", PRISMA_FILES)

    with pytest.raises(ProjectError, match="isn't in an allowed root"):
        Project.load(tmp_path / "elsewhere", [tmp_path / "allowed"])
    with pytest.raises(ProjectError, match="isn't in an allowed root"):
        Project.load(tmp_path / "allowed" / ".." / "elsewhere", [tmp_path / "allowed"])


def test_a_link_out_of_the_allowed_roots_is_resolved_first(tmp_path: Path) -> None:
    (tmp_path / "allowed").mkdir()
    write_project(tmp_path / "elsewhere", PRISMA_FILES)
    (tmp_path / "allowed" / "link").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(ProjectError, match="isn't in an allowed root"):
        Project.load(tmp_path / "allowed" / "link", [tmp_path / "allowed"])


def test_a_missing_folder_and_a_missing_file_are_distinguished(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="doesn't exist or isn't a folder"):
        Project.load(tmp_path / "nowhere", [tmp_path])
    with pytest.raises(ProjectError, match=r"deployctl\.toml doesn't exist"):
        Project.load(tmp_path, [tmp_path])


def test_a_missing_command_is_reported(tmp_path: Path) -> None:
    project = write_project(tmp_path, PRISMA_FILES)

    with pytest.raises(OperationFailed, match=r"doesn't define the command seed\. Nothing was run"):
        project.command("seed")
