"""Who may see and who may start what: decided here and nowhere else.

Everybody who may sign in sees every target, run and backup, read only. Operators start, cancel and decide.
Administrators look after targets, and may do what operators may.
"""

from __future__ import annotations

from typing import Any

from deployctl.accounts.models import User
from deployctl.accounts.roles import Permission
from deployctl.audit import Actor, Machine
from deployctl.errors import NotAllowed


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
