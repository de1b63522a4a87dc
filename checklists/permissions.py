"""Who may do what in a deployment: the rules, once.

Everybody who is signed in reads everything. Changing something asks for a part in the team:

* an item with a role is kept by the team's people of that role; one without by anybody in the team;
* leading (begin, verify, close, cancel, resume, edit) is for the team's Database Administrators, DevOps Leads
  and CTO/Tech Leads;
* halting is for everybody in the team, because whoever sees the danger must be able to stop it;
* operators and administrators may do all of it, and so may the command line, which is a `Machine`.
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
    """What one person (or machine) may do in one deployment."""

    all_verbs: bool
    roles: frozenset[str]

    @classmethod
    def of(cls, by: Actor, deployment: Deployment) -> DeploymentPermissions:
        """Read the person's part in the team.

        Args:
            by: a person, or a machine, which may do everything.
            deployment: uses its prefetched `team` where there is one.
        """
        if not isinstance(by, User):
            return cls(all_verbs=True, roles=frozenset())
        if not by.is_active:
            return cls(all_verbs=False, roles=frozenset())
        roles = frozenset(member.role for member in deployment.team.all() if member.user_id == by.pk)
        return cls(all_verbs=by.may(Permission.OPERATOR), roles=roles)

    @property
    def may_lead(self) -> bool:
        """Whether they may begin, verify, close, cancel, resume and edit."""
        return self.all_verbs or bool(self.roles & LEADING_ROLES)

    @property
    def may_halt(self) -> bool:
        """Whether they may stop the deployment."""
        return self.all_verbs or bool(self.roles)

    def may_complete(self, item: Item) -> bool:
        """Whether they may tick, undo, waive and prove this item."""
        if self.all_verbs:
            return True
        return item.role in self.roles if item.role else bool(self.roles)

    def is_assigned(self, item: Item) -> bool:
        """Whether the item waits on them: their role is asked for, or any of the team is."""
        return item.role in self.roles if item.role else bool(self.roles)

    def require_complete(self, item: Item) -> None:
        """Refuse those who may not keep the item.

        Raises:
            NotAllowed: says whose item it is.
        """
        if not self.may_complete(item):
            whose = (
                f"the team's {item.get_role_display()}" if item.role else "people in the deployment's team"
            )
            raise NotAllowed(
                f"This item is for {whose}, for operators and for administrators. Nothing was changed; "
                "the team is named on the deployment's page."
            )

    def require_lead(self) -> None:
        """Refuse those who may not lead the deployment.

        Raises:
            NotAllowed: says who may.
        """
        if not self.may_lead:
            raise NotAllowed(
                "This is for the team's Database Administrator, DevOps Lead or CTO/Tech Lead, for operators "
                "and for administrators. Nothing was changed; the team is named on the deployment's page."
            )

    def require_halt(self) -> None:
        """Refuse those who may not halt the deployment.

        Raises:
            NotAllowed: says who may.
        """
        if not self.may_halt:
            raise NotAllowed(
                "Halting is for the deployment's team, operators and administrators. Nothing was changed; "
                "call one of the contacts on the deployment's page."
            )


def require_creator(by: Actor) -> None:
    """Refuse those who may not plan deployments.

    Raises:
        NotAllowed: by a person who is not an operator.
    """
    if isinstance(by, User) and not by.may(Permission.OPERATOR):
        raise NotAllowed(
            "Planning a deployment is for operators. Nothing was created; ask one, or ask an administrator "
            "for the permission."
        )
