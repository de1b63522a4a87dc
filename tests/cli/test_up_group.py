"""The command group: help, errors, completion and tables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from deployctl.cli import COMMANDS, _output, cli
from deployctl.errors import Refusal


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_repeats_the_help_of_each_command(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert COMMANDS[name][1].rstrip(".") == command.get_short_help_str(limit=200).rstrip(".")


def test_help_imports_neither_django_nor_any_command() -> None:
    code = (
        "import sys\n"
        "from deployctl.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in sys.modules if m == 'django' or m.startswith('deployctl.cli.')])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "Start deployctl on this machine" in shown
    assert shown.endswith("[]\n")


def test_an_error_is_printed_with_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def refuse() -> None:
        raise Refusal("The database healthcare_db exists already. Nothing was changed.")

    monkeypatch.setattr(type(cli), "get_command", lambda *_: refuse)
    result = CliRunner().invoke(cli, ["refuse"])
    assert result.exit_code == 1
    assert result.stderr == "Error: The database healthcare_db exists already. Nothing was changed.\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str) -> None:
    result = CliRunner().invoke(cli, ["completion", shell])
    assert result.exit_code == 0
    assert "_DEPLOYCTL_COMPLETE" in result.stdout


def test_completion_knows_the_commands() -> None:
    environment = {"COMP_WORDS": "deployctl u", "COMP_CWORD": "1", "_DEPLOYCTL_COMPLETE": "bash_complete"}
    result = CliRunner().invoke(cli, [], prog_name="deployctl", env=environment)
    assert "plain,up" in result.stdout


def test_tables_align_wide_characters(capsys: pytest.CaptureFixture[str]) -> None:
    _output.print_table(["name", "state"], [["数据", "done"], ["plain", "open"]])
    assert capsys.readouterr().out == "NAME   STATE\n数据   done\nplain  open\n"


def test_tables_align_with_joined_emoji(capsys: pytest.CaptureFixture[str]) -> None:
    engineer = "\U0001f469\u200d\U0001f680"  # three characters, shown as one that is two columns wide
    _output.print_facts({"name": engineer, engineer: "x"}, as_json=False)
    assert capsys.readouterr().out == f"name  {engineer}\n{engineer}    x\n"


def test_rows_are_printed_as_table_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"id": 7, "name": "nightly\x1b[2J", "done": True, "note": None}]
    columns = {"name": "name", "done": "done", "note": "note"}
    _output.print_rows(rows, columns=columns, as_json=False, empty="There are none.")
    assert capsys.readouterr().out == "NAME         DONE  NOTE\nnightly [2J  yes   -\n"
    _output.print_rows(rows, columns=columns, as_json=True, empty="There are none.")
    assert json.loads(capsys.readouterr().out) == rows
    _output.print_rows([], columns=columns, as_json=False, empty="There are none.")
    assert capsys.readouterr().out == "There are none.\n"


@pytest.mark.parametrize(
    "arguments", [["backup", "list"], ["run", "connect", "--target", "x"], ["user", "list"]]
)
def test_a_command_without_an_installation_explains_how_to_start_one(
    arguments: list[str], tmp_path: Path
) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", "from deployctl.cli import main; main()", *arguments],
        env={"PATH": os.environ["PATH"], "DEPLOYCTL_DATA": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 1
    assert "Traceback" not in answer.stderr
    assert "deployctl up" in answer.stderr
