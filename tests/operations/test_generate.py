"""Generating a client with the project's command, and checking the written files."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployctl.operations.framework.base import OperationFailed, ProcessFailed
from deployctl.operations.kinds.generate import Generate
from deployctl.postgres.process import CannotStart
from tests.operations.projects import PRISMA_FILES, healthcare, job_for, write_project

NOWHERE = "postgresql://nobody:secret-of-the-url@127.0.0.1:1/nowhere"
WRITES = "import pathlib, os; pathlib.Path('client').write_text(repr(dict(os.environ)))"


def toml(code: str, generated: str = "client") -> str:
    command = f'[commands]\ngenerate = ["{{python}}", "-c", "{code}"]\n'
    return f'{PRISMA_FILES}{command}[expect]\ngenerated = ["{generated}"]'


def test_the_sample_application_is_generated_without_a_database(tmp_path: Path) -> None:
    job = job_for(healthcare(tmp_path), NOWHERE)

    outcome = Generate().perform(job)

    assert outcome.facts["generated"] == ["generated/rows.py"]
    assert b"7 models, 5 enums" in job.output
    assert [status for _, status in job.steps] == ["succeeded", "succeeded"]


def test_the_command_gets_no_connection_url(tmp_path: Path) -> None:
    Generate().perform(job_for(write_project(tmp_path, toml(WRITES)), NOWHERE))

    environment = (tmp_path / "client").read_text()
    assert "secret-of-the-url" not in environment
    assert "DATABASE_URL" not in environment


def test_a_missing_file_fails_even_if_the_command_succeeded(tmp_path: Path) -> None:
    with pytest.raises(OperationFailed, match="The command succeeded, but client doesn't exist"):
        Generate().perform(job_for(write_project(tmp_path, toml("pass")), NOWHERE))


def test_a_failed_command_is_reported_with_its_output(tmp_path: Path) -> None:
    with pytest.raises(ProcessFailed, match=r"exit status 1: no schema here"):
        Generate().perform(
            job_for(write_project(tmp_path, toml("import sys; sys.exit('no schema here')")), NOWHERE)
        )


def test_a_missing_program_is_reported(tmp_path: Path) -> None:
    project = write_project(tmp_path, PRISMA_FILES + '[commands]\ngenerate = ["npm-of-nobody", "run", "x"]')

    with pytest.raises(CannotStart, match="npm-of-nobody wasn't found"):
        Generate().perform(job_for(project, NOWHERE))


def test_a_target_without_a_project_is_reported() -> None:
    with pytest.raises(OperationFailed, match="The target shop has no project folder"):
        Generate().perform(job_for(None, NOWHERE))
