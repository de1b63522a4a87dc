"""Who may see and who may start what: decided here and nowhere else.

Everybody who may sign in sees every target, run and backup, read only. Operators start, cancel and decide.
Administrators look after targets, and may do what operators may. Backups leave and come only with those who
look after the target (`may_move_backups`).
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
    """Whether somebody may look at targets, runs and backups; anonymous visitors may not.

    Args:
        user: a `User`, or Django's anonymous one.
    """
    return isinstance(user, User) and user.may(Permission.VIEWER)


def may_operate(by: Actor | None) -> bool:
    """Whether an actor may start, cancel and decide. The machine's own command line may."""
    if isinstance(by, Machine):
        return True
    return isinstance(by, User) and by.may(Permission.OPERATOR)


def require_operator(by: Actor | None) -> None:
    """Refuse whoever may not operate.

    Raises:
        NotAllowed: naming the permission that is missing.
    """
    if not may_operate(by):
        raise NotAllowed(
            "Only operators may do this. Nothing was changed. Ask an administrator for the permission."
        )


def may_move_backups(by: Actor | None, target: Target) -> bool:
    """Whether an actor may download the backups of a target and upload others.

    A backup is everything that the database holds, and an uploaded one brings SQL that will run with the
    rights of the target's role: this takes more than starting operations. Administrators may, and of the
    operators those who are the target's Database Administrators. The machine's own command line may.
    """
    if isinstance(by, Machine):
        return True
    return isinstance(by, User) and type(target).objects.filter(movable_targets(by), pk=target.pk).exists()


def movable_targets(by: User) -> Q:
    """Return the filter for the targets whose backups somebody may download and upload."""
    if by.may(Permission.ADMINISTRATOR):
        return Q()
    if not may_operate(by):
        return Q(pk__in=[])
    return Q(pk__in=by.target_roles.filter(role=Role.DBA).values("target"))


def require_mover(by: Actor, target: Target) -> None:
    """Refuse whoever may not download and upload backups.

    Raises:
        NotAllowed: naming what is missing.
    """
    if not may_move_backups(by, target):
        raise NotAllowed(
            f"Backups of {target} are downloaded and uploaded by administrators, and by operators who are "
            "its Database Administrator. Nothing was done. An administrator can give you that role in the "
            "target's settings."
        )


def require_administrator(by: Actor) -> None:
    """Refuse whoever may not look after targets.

    Raises:
        NotAllowed: naming the permission that is missing.
    """
    if isinstance(by, Machine):
        return
    if not (isinstance(by, User) and by.may(Permission.ADMINISTRATOR)):
        raise NotAllowed(
            "Only administrators may do this. Nothing was changed. Ask an administrator to do it."
        )
