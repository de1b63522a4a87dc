"""Permissions to see, operate, manage, and move backups."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser

from deployctl.accounts.models import User
from deployctl.accounts.roles import Role
from deployctl.audit import Machine
from deployctl.errors import NotAllowed
from deployctl.runs import permissions
from deployctl.runs.models import Target

SYSTEM = Machine("test")


def _allowed(require: Any, *arguments: Any) -> bool:
    try:
        require(*arguments)
    except NotAllowed:
        return False
    return True


def _target(name: str) -> Target:
    return Target.add(name=name, environment="staging", connection_reference="env:DATABASE_URL", by=SYSTEM)


def test_everybody_but_visitors_may_see(viewer: User, dba: User) -> None:
    assert permissions.may_see(viewer)
    assert permissions.may_see(dba)
    assert not permissions.may_see(AnonymousUser())
    viewer.is_active = False
    assert not permissions.may_see(viewer)


def test_operators_administrators_and_the_command_line_operate(
    viewer: User, dba: User, administrator: User
) -> None:
    for by, expected in ((viewer, False), (None, False), (dba, True), (administrator, True), (SYSTEM, True)):
        assert permissions.may_operate(by) is expected
        assert _allowed(permissions.require_operator, by) is expected


def test_administrators_and_the_command_line_manage(viewer: User, dba: User, administrator: User) -> None:
    for by, expected in ((viewer, False), (dba, False), (administrator, True), (SYSTEM, True)):
        assert _allowed(permissions.require_administrator, by) is expected


def test_backups_move_by_administrators_and_the_targets_own_dba(
    viewer: User, cto: User, dba: User, devops_lead: User, administrator: User
) -> None:
    shop, other = _target("shop"), _target("other")
    shop.assign(dba, Role.DBA, by=SYSTEM)
    shop.assign(cto, Role.DBA, by=SYSTEM)
    shop.assign(devops_lead, Role.DEVOPS_LEAD, by=SYSTEM)
    may = {viewer: [], cto: [], devops_lead: [], dba: [shop], administrator: [shop, other]}
    for by, targets in may.items():
        assert list(Target.objects.filter(permissions.backup_transfer_filter(by)).order_by("pk")) == targets
        for target in (shop, other):
            expected = target in targets
            assert permissions.may_transfer_backups(by, target) is expected
            assert _allowed(permissions.require_backup_transfer, by, target) is expected
    assert permissions.may_transfer_backups(SYSTEM, shop) is True
    assert permissions.may_transfer_backups(None, shop) is False


def test_a_transfer_is_refused_with_who_may(viewer: User) -> None:
    with pytest.raises(NotAllowed, match="shop"):
        permissions.require_backup_transfer(viewer, _target("shop"))
