"""`deployctl template`: text and JSON output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from checklists.template_parsing import parse_template
from deployctl.cli import cli
from deployctl.cli.template import template

SOURCE = "# Go live\n\n## A\n\n- [ ] a <!-- operation: backup -->\n"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(template, [str(argument) for argument in arguments], catch_exceptions=True)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "go_live.md"
    path.write_text(SOURCE, encoding="utf-8")
    return path


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "bad.md"
    path.write_text("- [ ] a <!-- rol: dba -->\n- [ ] b <!-- due: x -->\n", encoding="utf-8")
    return path


def test_the_built_in_template_has_142_items_and_6_signature_lines() -> None:
    shown = json.loads(run("show", "healthcare", "--json").output)
    assert shown["counts"] == {"items": 142, "signatures": 6, "phases": 10}
    first = shown["phases"][0]["sections"][0]["items"][0]
    assert first["text"] == "PostgreSQL 13+ installed and configured"
    assert (first["role"], first["due"], first["stage"]) == ("dba", "-1w", "pre")


def test_show_works_without_a_database_or_settings() -> None:
    environment = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    code = "from deployctl.cli.template import template; template(['show', 'healthcare'])"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Database Production Deployment Checklist: 142 items, 6 signature lines")


def test_a_file_is_shown_by_its_path(good: Path) -> None:
    assert run("show", good).output.startswith("Go live: 1 item, 0 signature lines")


def test_lint_prints_every_problem_with_file_and_line(good: Path, bad: Path) -> None:
    result = run("lint", good, bad)
    assert result.exit_code == 1
    assert f"{bad}:1: error: “rol” isn't an annotation for items" in result.output
    assert f"{bad}:2: error: “x” isn't a valid due time" in result.output
    assert f"{good}: warning: There are no signature lines" in result.output


def test_warnings_alone_do_not_fail(good: Path) -> None:
    assert run("lint", good).exit_code == 0


def test_lint_prints_problems_as_json(bad: Path) -> None:
    found = json.loads(run("lint", bad, "--json").stdout)
    assert [(one["line"], one["level"]) for one in found] == [(1, "error"), (2, "error")]


def test_lint_confirms_a_valid_template(tmp_path: Path) -> None:
    path = tmp_path / "list.md"
    path.write_text(run("export", "healthcare").output, encoding="utf-8")
    assert run("lint", path).output == "The template is valid.\n"


def test_an_export_imports_as_the_same_template(good: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.md"
    assert run("export", good, "-o", target).output == f"Wrote {target}.\n"
    assert parse_template(target.read_text(encoding="utf-8")) == parse_template(SOURCE)
    assert run("export", target).output == target.read_text(encoding="utf-8")


@pytest.mark.django_db
def test_import_list_publish_and_show(good: Path) -> None:
    assert run("list").output.startswith("There are no imported templates yet")
    assert run("import", good).output == "Go live v1 is draft.\n"
    assert run("publish", "go-live").output == "Go live v1 is published.\n"
    (row,) = json.loads(run("list", "--json").output)
    assert row == {"slug": "go-live", "name": "Go live", "newest": 1, "state": "published", "published": 1}
    assert run("show", "go-live").output.startswith("Go live: 1 item")
    assert "operation: backup" in run("export", "go-live", "--version", "1").output


@pytest.mark.django_db
def test_import_accepts_slug_and_name_and_publishes(good: Path) -> None:
    result = run("import", good, "--slug", "ours", "--name", "Ours", "--publish", "--json")
    facts = json.loads(result.output)
    assert (facts["template"], facts["version"], facts["state"]) == ("ours", 1, "published")


@pytest.mark.django_db
def test_errors_are_printed_with_status_1(good: Path, bad: Path) -> None:
    run("import", good)
    for arguments, message in (
        (("template", "import", good), "Nothing was imported."),
        (("template", "import", bad), "did you mean “role”?"),
        (("template", "publish", "none"), "There is no template or file named “none”"),
        (("template", "show", "none"), "See `deployctl template list`"),
        (("template", "show", "none.md"), "No such file"),
        (("template", "export", "go-live", "--version", "7"), "no version 7"),
    ):
        result: Any = CliRunner().invoke(cli, [str(argument) for argument in arguments])
        assert result.exit_code == 1, result.output
        assert message in result.output
