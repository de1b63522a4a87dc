"""Operations that overwrite something need confirmation, on pages and on the command line."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable

import pytest
from click.testing import CliRunner
from django.test import Client

from deployctl.accounts.models import User
from deployctl.audit import Machine
from deployctl.cli.run import run as run_command
from deployctl.errors import InvalidInput
from deployctl.operations import catalogue
from deployctl.runs.models import Run, RunState, Target

SignedIn = Callable[..., Client]
SYSTEM = Machine("test")
OVERWRITING = {"restore": {}, "rollback": {"backup": "shop-1"}, "drop_kept_database": {}}


@pytest.fixture(autouse=True)
def _without_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployctl.runs.queue.enqueue", lambda _run_id: True)


def test_operations_that_need_two_people_need_confirmation_everywhere() -> None:
    for operation in catalogue().values():
        assert bool(operation.overwrites) == operation.needs_second_person, operation.kind


@pytest.mark.parametrize("kind", OVERWRITING)
def test_without_confirmation_nothing_is_overwritten(target: Target, dba: User, kind: str) -> None:
    for typed, message in (("", r"shop.*Tick the box to confirm.*--yes"), ("live", "exactly: shop")):
        with pytest.raises(InvalidInput, match=message):
            Run.request(target=target, kind=kind, params=OVERWRITING[kind], by=dba, typed_name=typed)
    assert not Run.objects.exists()

    Run.request(target=target, kind=kind, params=OVERWRITING[kind], by=dba, typed_name="shop")
    assert Run.objects.get().state == RunState.QUEUED


def test_the_target_page_has_a_required_confirmation_checkbox(
    target: Target, dba: User, signed_in: SignedIn
) -> None:
    browser = signed_in(dba)
    page = browser.get("/targets/shop/").text
    forms = {
        kind: form
        for form in re.findall(r"<form.*?</form>", page, re.DOTALL)
        for kind in re.findall(r'name="kind" value="(\w+)"', form)
    }
    assert {kind for kind, form in forms.items() if 'name="typed_name"' in form} == set(OVERWRITING)
    assert '<input type="checkbox" name="typed_name" value="shop" required>' in forms["restore"]
    assert "This replaces shop with the backup and ends its sessions." in forms["restore"]

    refused = browser.post("/targets/shop/runs", {"kind": "restore"})
    assert refused.status_code == 422
    assert "Nothing was started. This replaces shop with the backup and ends its sessions." in refused.text
    assert browser.post("/targets/shop/runs", {"kind": "restore", "typed_name": "shop"}).status_code == 303


def test_restarting_a_run_asks_for_confirmation_again(target: Target, dba: User, signed_in: SignedIn) -> None:
    ended = Run.request(target=target, kind="drop_kept_database", params={}, by=dba, typed_name="shop")
    ended.cancel(by=dba)

    page = signed_in(dba).get(f"/runs/{ended.pk}/").text

    assert "Start again" in page
    assert "This permanently deletes the database that a restore of shop kept." in page
    assert 'name="typed_name" value="shop" required' in page


@pytest.mark.parametrize(
    ("options", "status", "runs"), [((), 2, 0), (("--yes",), 0, 1)], ids=["without --yes", "with --yes"]
)
def test_a_script_confirms_with_the_yes_option(
    target: Target, options: tuple[str, ...], status: int, runs: int
) -> None:
    result = CliRunner().invoke(run_command, ["restore", "--target", "shop", *options])

    assert (result.exit_code, Run.objects.count()) == (status, runs)
    assert ("on the command line, add --yes" in result.stderr) == (not runs)


def test_yes_confirms_a_target_named_in_any_case(target: Target) -> None:
    result = CliRunner().invoke(run_command, ["restore", "--target", "SHOP", "--yes"])
    assert (result.exit_code, Run.objects.count()) == (0, 1), result.stderr


def test_without_a_terminal_there_is_no_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert importlib.import_module("deployctl.cli.run")._confirm("It is gone.") is False


@pytest.mark.parametrize(("answer", "runs"), [("n", 0), ("", 0), ("y", 1)])
def test_a_person_at_the_command_line_is_prompted(
    target: Target, monkeypatch: pytest.MonkeyPatch, answer: str, runs: int
) -> None:
    # In a test, click does not read from a terminal.
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _self: True, raising=False)
    result = CliRunner().invoke(run_command, ["restore", "--target", "shop"], input=f"{answer}\n")

    assert "This replaces shop with the backup and ends its sessions." in result.stderr
    assert "Continue?" in result.stderr
    assert Run.objects.count() == runs
    assert ("Nothing was started." in result.stderr) == (not runs)
    assert "add --yes" not in result.stderr


def test_operations_that_overwrite_nothing_have_no_yes_option(target: Target) -> None:
    assert CliRunner().invoke(run_command, ["backup", "--target", "shop", "--yes"]).exit_code == 2
    assert CliRunner().invoke(run_command, ["backup", "--target", "shop"]).exit_code == 0
