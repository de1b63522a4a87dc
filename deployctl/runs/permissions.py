"""Permissions on targets, runs and backups.

Everyone who can sign in may view targets, runs and backups. Operators start, cancel and decide runs.
Administrators manage targets and have all permissions of operators. Downloads and uploads need
`may_transfer_backups`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models import Q

from deployctl.accounts.models import User
from deployctl.accounts.roles import Permission, Role
from deployctl.audit import Actor, Machine
from deployctl.errors import NotAllowed

if TYPE_CHECKING:
    from deployctl.runs.models.target import Target


def may_see(user: Any) -> bool:
    """Return True if a user may view targets, runs and backups; anonymous visitors may not.

    Args:
        user: a `User`, or Django's `AnonymousUser`.
    """
    return isinstance(user, User) and user.may(Permission.VIEWER)


def may_operate(by: Actor | None) -> bool:
    """Return True if an actor may start, cancel and decide runs; the local command line may."""
    if isinstance(by, Machine):
        return True
    return isinstance(by, User) and by.may(Permission.OPERATOR)


def require_operator(by: Actor | None) -> None:
    """Require the permission to operate.

    Raises:
        NotAllowed: `by` lacks it.
    """
    if not may_operate(by):
        raise NotAllowed(
            "Only operators can do this. Nothing was changed. Ask an administrator for the permission."
        )


def may_transfer_backups(by: Actor | None, target: Target) -> bool:
    """Return True if an actor may download the backups of a target and upload others.

    A backup contains the whole database, and an uploaded one contains SQL that runs with the privileges of
    the target's role. The permission to operate is therefore not enough: only administrators, operators who
    are the target's Database Administrator, and the local command line may transfer backups.
    """
    if isinstance(by, Machine):
        return True
    return (
        isinstance(by, User)
        and type(target).objects.filter(backup_transfer_filter(by), pk=target.pk).exists()
    )


def backup_transfer_filter(by: User) -> Q:
    """Return the filter for the targets whose backups a user may download and upload."""
    if by.may(Permission.ADMINISTRATOR):
        return Q()
    if not may_operate(by):
        return Q(pk__in=[])
    return Q(pk__in=by.target_roles.filter(role=Role.DBA).values("target"))


def require_backup_transfer(by: Actor, target: Target) -> None:
    """Require the permission to download and upload backups.

    Raises:
        NotAllowed: `by` lacks it.
    """
    if not may_transfer_backups(by, target):
        raise NotAllowed(
            f"Only administrators, and operators who are {target}'s Database Administrator, can download and "
            "upload its backups. Nothing was done. An administrator can give you that role in the target's "
            "settings."
        )


def require_administrator(by: Actor) -> None:
    """Require the permission to manage targets.

    Raises:
        NotAllowed: `by` lacks it.
    """
    if isinstance(by, Machine):
        return
    if not (isinstance(by, User) and by.may(Permission.ADMINISTRATOR)):
        raise NotAllowed(
            "Only administrators can do this. Nothing was changed. Ask an administrator to do it."
        )
