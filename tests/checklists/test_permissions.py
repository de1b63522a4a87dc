"""The permissions that each role in a deployment's team gives."""

from __future__ import annotations

import pytest

from checklists.models import Deployment, Item
from checklists.permissions import DeploymentPermissions, require_creator
from deployctl.accounts.models import User
from deployctl.accounts.roles import Role
from deployctl.errors import NotAllowed
from tests.checklists.factories import MACHINE

ROLES = [role.value for role in Role]


def _with(*roles: str, unrestricted: bool = False) -> DeploymentPermissions:
    return DeploymentPermissions(unrestricted=unrestricted, roles=frozenset(roles))


@pytest.mark.parametrize("role", ROLES)
def test_three_roles_lead_and_every_role_halts(role: str) -> None:
    part = _with(role)
    assert part.may_lead is (role in {"dba", "devops_lead", "cto"})
    assert part.may_halt


@pytest.mark.parametrize("role", ROLES)
def test_an_item_is_for_its_role_only(role: str) -> None:
    part = _with("qa_lead")
    assert part.may_complete(Item(role=role)) is (role == "qa_lead")
    assert part.is_assigned(Item(role=role)) is (role == "qa_lead")


def test_an_item_without_a_role_is_for_the_team() -> None:
    assert _with("qa_lead").may_complete(Item(role=""))
    assert _with("qa_lead").is_assigned(Item(role=""))
    assert not _with().may_complete(Item(role=""))
    assert not _with().is_assigned(Item(role=""))


def test_an_operator_may_do_everything_and_is_assigned_nothing() -> None:
    part = _with(unrestricted=True)
    assert part.may_lead
    assert part.may_halt
    for role in ("", "dba"):
        assert part.may_complete(Item(role=role))
        assert not part.is_assigned(Item(role=role))
    part.require_lead()
    part.require_halt()
    part.require_complete(Item(role="dba"))


def test_people_outside_the_team_are_refused() -> None:
    part = _with()
    with pytest.raises(NotAllowed):
        part.require_lead()
    with pytest.raises(NotAllowed):
        part.require_halt()
    with pytest.raises(NotAllowed, match="Database Administrator"):
        part.require_complete(Item(role="dba"))
    with pytest.raises(NotAllowed):
        part.require_complete(Item(role=""))


def test_only_operators_and_the_command_line_plan_deployments(
    dba: User, administrator: User, qa_lead: User, outsider: User
) -> None:
    for by in (dba, administrator, MACHINE):
        require_creator(by)
    for by in (qa_lead, outsider):
        with pytest.raises(NotAllowed):
            require_creator(by)


def test_a_part_is_read_from_the_team(deployment: Deployment, dba: User, qa_lead: User, cto: User) -> None:
    parts = {by: DeploymentPermissions.of(by, deployment) for by in (dba, qa_lead, cto, MACHINE)}
    assert parts == {
        dba: _with("dba", unrestricted=True),
        qa_lead: _with("qa_lead"),
        cto: _with(),
        MACHINE: _with(unrestricted=True),
    }
    dba.is_active = False
    assert DeploymentPermissions.of(dba, deployment) == _with()
