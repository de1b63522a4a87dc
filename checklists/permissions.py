"""Permissions in a deployment.

Everybody who is signed in may read everything. Changes require a role in the team:

* items with a role: team members with that role; items without a role: all team members;
* leading (begin, verify, close, cancel, resume, edit): the team's Database Administrators, DevOps Leads and
  CTO/Tech Leads;
* halting: all team members, because anybody who notices a danger must be able to stop the deployment.

Operators, administrators and the command line (a `Machine`) may do all of this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployctl.accounts.models import User
from deployctl.accounts.roles import Permission, Role
from deployctl.errors import NotAllowed

if TYPE_CHECKING:
    from checklists.models import Deployment, Item
    from deployctl.audit import Actor

LEADING_ROLES = frozenset({Role.DBA.value, Role.DEVOPS_LEAD.value, Role.CTO.value})


@dataclass(frozen=True)
class DeploymentPermissions:
    """The permissions of one actor in one deployment."""

    unrestricted: bool
    roles: frozenset[str]

    @classmethod
    def of(cls, by: Actor, deployment: Deployment) -> DeploymentPermissions:
        """Return the permissions that an actor has in a deployment.

        Args:
            by: a person, or a machine, which may do everything.
            deployment: its `team` is read from the prefetch cache if there is one.
        """
        if not isinstance(by, User):
            return cls(unrestricted=True, roles=frozenset())
        if not by.is_active:
            return cls(unrestricted=False, roles=frozenset())
        roles = frozenset(member.role for member in deployment.team.all() if member.user_id == by.pk)
        return cls(unrestricted=by.may(Permission.OPERATOR), roles=roles)

    @property
    def may_lead(self) -> bool:
        """Return True if the actor may begin, verify, close, cancel, resume and edit the deployment."""
        return self.unrestricted or bool(self.roles & LEADING_ROLES)

    @property
    def may_halt(self) -> bool:
        """Return True if the actor may halt the deployment."""
        return self.unrestricted or bool(self.roles)

    def may_complete(self, item: Item) -> bool:
        """Return True if the actor may tick, undo, waive and prove the item."""
        if self.unrestricted:
            return True
        return item.role in self.roles if item.role else bool(self.roles)

    def is_assigned(self, item: Item) -> bool:
        """Return True if the item is for the actor's role, or for any team member."""
        return item.role in self.roles if item.role else bool(self.roles)

    def require_complete(self, item: Item) -> None:
        """Raise NotAllowed, naming who may complete the item, if the actor may not."""
        if not self.may_complete(item):
            assignees = f"the team's {item.get_role_display()}" if item.role else "the deployment's team"
            raise NotAllowed(
                f"Only {assignees}, operators and administrators may change this item. Nothing was changed; "
                "the deployment's page lists the team."
            )

    def require_lead(self) -> None:
        """Raise NotAllowed, naming who may lead the deployment, if the actor may not."""
        if not self.may_lead:
            raise NotAllowed(
                "Only the team's Database Administrator, DevOps Lead and CTO/Tech Lead, operators and "
                "administrators may do this. Nothing was changed; the deployment's page lists the team."
            )

    def require_halt(self) -> None:
        """Raise NotAllowed, naming who may halt the deployment, if the actor may not."""
        if not self.may_halt:
            raise NotAllowed(
                "Only the deployment's team, operators and administrators may halt it. Nothing was changed; "
                "call one of the contacts on the deployment's page."
            )


def require_creator(by: Actor) -> None:
    """Raise NotAllowed if the actor is a person without the operator permission."""
    if isinstance(by, User) and not by.may(Permission.OPERATOR):
        raise NotAllowed(
            "Only operators may create deployments. Nothing was created; ask an operator, or ask an "
            "administrator for the permission."
        )
