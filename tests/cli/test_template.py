"""`deployctl template`: what scripts and people get from it."""

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


def test_the_built_in_template_has_142_items_and_6_signature_lines_in_json() -> None:
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


def test_lint_names_every_problem_with_file_and_line(good: Path, bad: Path) -> None:
    result = run("lint", good, bad)
    assert result.exit_code == 1
    assert f"{bad}:1: error: “rol” isn't an annotation for items" in result.output
    assert f"{bad}:2: error: “x” isn't a valid due time" in result.output
    assert f"{good}: remark: There are no signature lines" in result.output


def test_remarks_alone_are_no_failure(good: Path) -> None:
    assert run("lint", good).exit_code == 0


def test_lint_tells_scripts_the_same_in_json(bad: Path) -> None:
    found = json.loads(run("lint", bad, "--json").stdout)
    assert [(one["line"], one["level"]) for one in found] == [(1, "error"), (2, "error")]


def test_lint_says_so_when_all_is_well(tmp_path: Path) -> None:
    path = tmp_path / "list.md"
    path.write_text(run("export", "healthcare").output, encoding="utf-8")
    assert run("lint", path).output == "The file is a good template.\n"


def test_an_export_imports_as_the_same_template(good: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.md"
    assert run("export", good, "-o", target).output == f"Wrote {target}.\n"
    assert parse_template(target.read_text(encoding="utf-8")) == parse_template(SOURCE)
    assert run("export", target).output == target.read_text(encoding="utf-8")


@pytest.mark.django_db
def test_import_list_publish_and_show(good: Path) -> None:
    assert run("list").output.startswith("No template was imported yet")
    assert run("import", good).output == "Go live v1 is draft.\n"
    assert run("publish", "go-live").output == "Go live v1 is published.\n"
    (row,) = json.loads(run("list", "--json").output)
    assert row == {"slug": "go-live", "name": "Go live", "newest": 1, "state": "published", "published": 1}
    assert run("show", "go-live").output.startswith("Go live: 1 item")
    assert "operation: backup" in run("export", "go-live", "--version", "1").output


@pytest.mark.django_db
def test_import_takes_name_and_short_name_and_publishes(good: Path) -> None:
    result = run("import", good, "--slug", "ours", "--name", "Ours", "--publish", "--json")
    facts = json.loads(result.output)
    assert (facts["template"], facts["version"], facts["state"]) == ("ours", 1, "published")


@pytest.mark.django_db
def test_a_refused_import_leaves_nothing_and_says_why(good: Path, bad: Path) -> None:
    run("import", good)
    for arguments, sentence in (
        (("template", "import", good), "Nothing was imported."),
        (("template", "import", bad), "did you mean “role”?"),
        (("template", "publish", "none"), "There is no template"),
        (("template", "show", "none"), "`deployctl template list` shows what there is"),
        (("template", "show", "none.md"), "No such file"),
        (("template", "export", "go-live", "--version", "7"), "no version 7"),
    ):
        result: Any = CliRunner().invoke(cli, [str(argument) for argument in arguments])
        assert result.exit_code == 1, result.output
        assert sentence in result.output
