"""`deployctl gate` and its exit status."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from checklists.models import Deployment
from deployctl.accounts.models import User
from deployctl.accounts.testing import enroll
from deployctl.cli.gate import NO_GO, NOT_SIGNED, gate
from deployctl.errors import InvalidInput
from tests.checklists.factories import item
from tests.signoff.conftest import deployment  # noqa: F401 (fixture)
from tests.signoff.signing import MACHINE, sign


def ask(deployment: Deployment, *arguments: str) -> Result:  # noqa: F811
    return CliRunner().invoke(gate, [str(deployment.pk), "--stage", "pre", *arguments])


def test_go_is_status_0_and_signed_is_checked_separately(
    deployment: Deployment,  # noqa: F811
    dba: User,
    devops_lead: User,
) -> None:
    enroll(dba)
    enroll(devops_lead)
    go = ask(deployment)
    assert (go.exit_code, go.output) == (0, "GO: Shop goes live, stage pre, not signed\n")
    assert ask(deployment, "--signed").exit_code == NOT_SIGNED
    sign(deployment, dba, "dba")
    sign(deployment, devops_lead, "devops_lead")
    assert ask(deployment, "--signed").exit_code == 0


def test_no_go_lists_every_blocker_with_status_3(deployment: Deployment) -> None:  # noqa: F811
    item(deployment, "Server is there").undo(MACHINE)
    no_go = ask(deployment)
    assert (no_go.exit_code, "“Server is there” is open; complete or waive it." in no_go.output) == (
        NO_GO,
        True,
    )
    result = json.loads(ask(deployment, "--json").output)
    assert (result["verdict"], result["go"], result["stage"]) == ("NO-GO", False, "pre")
    assert result["blockers"][0]["url"].startswith(f"/deployments/{deployment.pk}/")


@pytest.mark.parametrize("verbs", [["cancel"], ["halt", "start_rollback", "finish_rollback"]])
def test_a_stopped_deployment_is_no_go_even_if_it_is_signed(
    deployment: Deployment,  # noqa: F811
    dba: User,
    devops_lead: User,
    verbs: list[str],
) -> None:
    sign(deployment, dba, "dba")
    sign(deployment, devops_lead, "devops_lead")
    stopped = Deployment.objects.get(pk=deployment.pk)
    if "halt" in verbs:
        stopped.begin(dba)
        assert ask(deployment, "--signed").exit_code == 0
    for verb in verbs:
        getattr(stopped, verb)(MACHINE, "Smoke.")
        no_go = ask(deployment, "--signed")
        blocker = f"  The deployment is {stopped.state_phrase}.\n"
        assert (no_go.exit_code, blocker in no_go.output) == (NO_GO, True)


def test_errors_are_neither_go_nor_no_go(deployment: Deployment) -> None:  # noqa: F811
    unknown = CliRunner().invoke(gate, ["4711", "--stage", "pre"])
    assert isinstance(unknown.exception, InvalidInput)
    assert CliRunner().invoke(gate, [str(deployment.pk), "--stage", "later"]).exit_code == 2
