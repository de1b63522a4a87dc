"""Projects are read strictly: what is wrong is named with file and key."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from deployctl.operations.application.project import Project, ProjectError
from deployctl.operations.framework.base import OperationFailed
from tests.operations.projects import HEALTHCARE, PRISMA_FILES, write_project


def test_the_sample_application_is_read() -> None:
    project = Project.load(HEALTHCARE, [HEALTHCARE.parent])

    assert project.folder == HEALTHCARE
    assert project.migrations.tool == "prisma_files"
    assert project.expect.counts == {"Plan": 6, "HealthPackage": 5, "DiagnosticTest": 5}
    assert project.expect.admin is not None
    assert project.expect.admin.where == {"role": "ADMIN"}
    assert project.application.endpoints[0].path == "/api/v1/auth/register"
    assert project.command("seed") == [sys.executable, "seed/seed.py"]


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("", ["migrations is missing"]),
        (
            '[migrations]\ntool = "flyway"',
            ["migrations.tool: must be one of alembic, django, prisma, prisma_files, sql"],
        ),
        (PRISMA_FILES + '[commands]\nsed = ["x"]', ["commands.sed is not a key", "known: generate, seed"]),
        (PRISMA_FILES + '[commands]\nseed = "npm run x"', ["commands.seed must be a list, not 'npm run x'"]),
        (PRISMA_FILES + "[commands]\nseed = []", ["commands.seed: must name a program"]),
        (
            PRISMA_FILES + '[expect.counts]\nPlan = "6"',
            ["expect.counts.Plan: Input should be a valid integer"],
        ),
        (PRISMA_FILES + "[expect.counts]\nPlan = -1", ["expect.counts.Plan: Input should be greater"]),
        (PRISMA_FILES + '[expect]\nadmin = { table = "User" }', ["expect.admin.where is missing"]),
        (PRISMA_FILES + '[expect]\ngenerated = ["../x"]', ["expect.generated.0: must be a path inside"]),
        (PRISMA_FILES + 'folder = "/etc"', ["migrations.folder: must be a path inside"]),
        ('folder = "/etc"\n' + PRISMA_FILES, ["folder is not a key"]),
        ("extra = 1\n" + PRISMA_FILES, ["extra is not a key", "migrations, commands, expect, application"]),
        (PRISMA_FILES + '[application]\nhealth = "ftp://x"', ["application.health: URL scheme"]),
        ("[migrations\n", ["is not valid TOML", "line 1"]),
        ("x = '" + "x" * 300_000 + "'", ["larger than 256 KiB"]),
    ],
)
def test_a_wrong_file_is_refused_naming_file_and_key(tmp_path: Path, toml: str, words: list[str]) -> None:
    with pytest.raises(ProjectError) as caught:
        write_project(tmp_path, toml)

    assert str(tmp_path / "deployctl.toml") in caught.value.message
    for word in words:
        assert word in caught.value.message


def test_every_wrong_key_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"commands\.a .*; expect\.b "):
        write_project(tmp_path, PRISMA_FILES + '[commands]\na = ["x"]\n[expect]\nb = 1')


def test_a_folder_outside_the_allowed_roots_is_refused(tmp_path: Path) -> None:
    (tmp_path / "allowed").mkdir()
    write_project(tmp_path / "elsewhere", PRISMA_FILES)

    with pytest.raises(ProjectError, match="lies under no allowed root"):
        Project.load(tmp_path / "elsewhere", [tmp_path / "allowed"])
    with pytest.raises(ProjectError, match="lies under no allowed root"):
        Project.load(tmp_path / "allowed" / ".." / "elsewhere", [tmp_path / "allowed"])


def test_a_link_out_of_the_allowed_roots_is_followed_before_it_is_judged(tmp_path: Path) -> None:
    (tmp_path / "allowed").mkdir()
    write_project(tmp_path / "elsewhere", PRISMA_FILES)
    (tmp_path / "allowed" / "link").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(ProjectError, match="lies under no allowed root"):
        Project.load(tmp_path / "allowed" / "link", [tmp_path / "allowed"])


def test_a_folder_that_is_not_there_and_one_without_a_file_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="does not exist or is not a folder"):
        Project.load(tmp_path / "nowhere", [tmp_path])
    with pytest.raises(ProjectError, match=r"deployctl\.toml does not exist"):
        Project.load(tmp_path, [tmp_path])


def test_a_command_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    project = write_project(tmp_path, PRISMA_FILES)

    with pytest.raises(OperationFailed, match=r"names no command for seed\. Nothing was run"):
        project.command("seed")
