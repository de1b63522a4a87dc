"""`deployctl deployment`: plan, list, show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from checklists.models import Deployment, TemplateVersion
from deployctl.accounts.models import User
from deployctl.cli.deployment import deployment as command
from deployctl.errors import DeployctlError, InvalidInput
from deployctl.runs.models import Target, TargetRole
from tests.checklists.conftest import deployment, target, version  # noqa: F401 (fixtures)
from tests.checklists.factories import item


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, prog_name="deployctl")


def error_of(result: Result) -> DeployctlError:
    assert isinstance(result.exception, DeployctlError), result.output
    return result.exception


@pytest.fixture
def options(target: Target, version: TemplateVersion, dba: User) -> dict[str, str]:  # noqa: F811
    """Valid options of `create`."""
    return {
        "--target": "shop",
        "--template": "small",
        "--title": "Shop goes live",
        "--window-start": "2031-01-31T22:00+01:00",
        "--window-end": "2031-01-31T23:30+01:00",
        "--member": f"dba={dba.email}",
        "--rollback-plan": "Restore.",
    }


def create(options: dict[str, str], **changes: str | None) -> Result:
    given = options | {f"--{name.replace('_', '-')}": text for name, text in changes.items()}
    arguments = [part for option, text in given.items() if text is not None for part in (option, text)]
    return invoke("create", *arguments, "--json")


def test_create_plans_and_prints_the_deployment(options: dict[str, str], dba: User) -> None:
    created = json.loads(create(options).output)
    found = Deployment.objects.get(pk=created["number"])
    assert (found.title, found.created_by_name[:13]) == ("Shop goes live", "command line:")
    assert created["template"] == "small@1"
    assert created["team"] == [{"name": "Dana Baker", "email": dba.email, "role": "dba"}]
    assert len(created["items"]) == 11
    assert "“Server is there” is open; complete or waive it." in created["blockers"]


def test_the_team_defaults_to_the_people_of_the_target(
    options: dict[str, str],
    target: Target,  # noqa: F811
    qa_lead: User,
) -> None:
    TargetRole.objects.create(target=target, user=qa_lead, role="qa_lead")
    created = json.loads(create(options, member=None).output)
    assert [seat["role"] for seat in created["team"]] == ["qa_lead"]


def test_the_rollback_plan_can_be_read_from_a_file(options: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "plan.md"
    file.write_text("Restore, then tell everybody.\n", encoding="utf-8")
    create(options, rollback_plan=None, rollback_plan_file=str(file))
    assert Deployment.objects.get().rollback_plan == "Restore, then tell everybody."


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"target": "nowhere"}, "There is no target “nowhere”"),
        ({"template": "nothing"}, "There is no template 'nothing'; available: small"),
        ({"template": "small@9"}, "no version '9'; available: 1"),
        ({"window_start": "tomorrow"}, "--window-start 'tomorrow' isn't a date"),
        ({"window_start": "2031-01-31T22:00"}, "offset from UTC"),
        ({"window_end": "2031-01-31T21:00+01:00"}, "ends before it starts"),
        ({"member": "dba"}, "Use ROLE=EMAIL"),
        ({"member": "dba=nobody@example.org"}, "No user has the e-mail address"),
        ({"member": "boss=dana.baker@example.org"}, "isn't a role"),
        ({"rollback_plan": None}, "Give the rollback plan"),
        ({"rollback_plan_file": "/nonexistent"}, "Give the rollback plan"),
        ({"rollback_plan": None, "rollback_plan_file": "/nonexistent"}, "can't be read"),
    ],
)
def test_invalid_input_is_reported_and_creates_nothing(
    options: dict[str, str], changes: dict[str, str | None], words: str
) -> None:
    assert words in error_of(create(options, **changes)).message
    assert not Deployment.objects.exists()


def test_list_shows_current_deployments(deployment: Deployment, dba: User) -> None:  # noqa: F811
    assert "Shop goes live" in invoke("list").output
    assert "planning" in invoke("list", "--target", "shop").output
    deployment.cancel(dba, "Later.")
    assert "Use --all to include those that have ended" in invoke("list").output
    listed = json.loads(invoke("list", "--all", "--json").output)
    assert [(one["title"], one["state"]) for one in listed] == [("Shop goes live", "cancelled")]


def test_show_prints_progress_and_blockers(deployment: Deployment, dba: User) -> None:  # noqa: F811
    item(deployment, "Server").complete(dba)
    output = invoke("show", str(deployment.pk)).output
    assert output.count("1 of 10 done") == 2, "a parent with two sub-items doesn't count"
    assert "“Anybody checks this” is open; complete or waive it." in output
    shown: dict[str, Any] = json.loads(invoke("show", str(deployment.pk), "--json").output)
    assert shown["items"][0]["state"] == "done"


@pytest.mark.django_db
def test_show_of_an_unknown_deployment_is_an_error() -> None:
    assert isinstance(error_of(invoke("show", "4711")), InvalidInput)
