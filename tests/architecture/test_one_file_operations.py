"""A new operation is one file: its form, command and documentation are generated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from django.test import Client

from deployctl.accounts.models import User
from deployctl.audit import Machine
from deployctl.cli.run import run
from deployctl.operations import catalogue_page
from deployctl.operations.framework.registry import OPERATIONS
from deployctl.runs.models import Target
from tests.packages import temporary_package

KIND = "count_teaspoons"
FILE = '''
"""Counts."""

from dataclasses import dataclass
from typing import ClassVar

from deployctl.operations.framework.base import Job, Operation, Outcome, param


class CountTeaspoons(Operation):
    """Counts the teaspoons of a target."""

    kind: ClassVar[str] = "count_teaspoons"
    title: ClassVar[str] = "Count the teaspoons"
    help: ClassVar[str] = "Counts every teaspoon in the drawer."
    changes_target: ClassVar[bool] = False
    exclusive: ClassVar[bool] = False
    time_limit_s: ClassVar[int] = 60

    @dataclass(frozen=True)
    class Params:
        least_size: int = param(3, label="Least size", help="Smaller ones do not count.", minimum=1)

    def perform(self, job: Job) -> Outcome:
        return Outcome("Counted.")
'''


@pytest.fixture
def added(tmp_path: Path) -> Iterator[None]:
    """Add one file with an operation."""
    with temporary_package(tmp_path, {KIND: FILE}) as package, OPERATIONS.extended(package):
        yield


def test_a_new_file_adds_a_button_with_its_field(
    added: None, dba: User, signed_in: Callable[..., Client], secret_file: Callable[[str], str]
) -> None:
    Target.add(
        name="drawer",
        environment="staging",
        connection_reference=secret_file("postgresql://cook@127.0.0.1:5432/drawer"),
        by=Machine("test"),
    )

    page = signed_in(dba).get("/targets/drawer/").text

    assert "Count the teaspoons" in page
    assert "Counts every teaspoon in the drawer." in page
    assert 'name="least_size"' in page


def test_a_new_file_adds_a_command_with_its_option(added: None) -> None:
    assert KIND in CliRunner().invoke(run, ["--help"]).output

    command_help = CliRunner().invoke(run, [KIND, "--help"]).output
    assert "Counts every teaspoon in the drawer." in command_help
    assert "--least-size" in command_help


def test_a_new_file_adds_a_line_to_the_documentation(added: None) -> None:
    page = catalogue_page.in_page(catalogue_page.PAGE.read_text())

    assert f"| `{KIND}` | Count the teaspoons | Counts every teaspoon in the drawer. | no | no |" in page
    assert f"| `{KIND}` | `--least-size` | Smaller ones do not count. | 3 |" in page


def test_the_documentation_is_up_to_date() -> None:
    page = catalogue_page.PAGE.read_text()

    assert catalogue_page.in_page(page) == page, "docs/operations.md is out of date: run make docs"


def test_a_page_without_markers_is_rejected() -> None:
    with pytest.raises(catalogue_page.NoMarkers, match="Add <!-- catalogue"):
        catalogue_page.in_page("# Nothing here")
