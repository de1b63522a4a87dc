"""The team of a deployment: people with their roles."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef

from deployctl.accounts.models import User
from deployctl.accounts.roles import Permission, Role
from deployctl.errors import InvalidInput
from deployctl.runs.models import Target

# A user and the value of their role.
Seat = tuple[User, str]


class TeamMemberQuerySet(models.QuerySet["TeamMember"]):
    """A query of team members."""

    def with_people(self) -> TeamMemberQuerySet:
        """Fetch the people, and annotate `may_approve` and `has_factor`: both are required to sign."""
        person = {"pk": OuterRef("user")}
        return self.select_related("user").annotate(
            may_approve=Exists(User.objects.with_permission(Permission.APPROVER).filter(**person)),
            has_factor=Exists(User.objects.enrolled().filter(**person)),
        )


class TeamMember(models.Model):
    """A person's role in the team of a deployment. One person may have several roles."""

    deployment = models.ForeignKey("checklists.Deployment", on_delete=models.PROTECT, related_name="team")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="deployment_roles"
    )
    role = models.CharField(max_length=20, choices=Role.choices)

    objects: ClassVar[models.Manager[TeamMember]] = models.Manager.from_queryset(TeamMemberQuerySet)()

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["deployment", "user", "role"], name="team_member_once")
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.get_role_display()}"


def clean_team(seats: Iterable[Seat], current: Iterable[Seat] = ()) -> list[Seat]:
    """Return a valid team without duplicates, in the given order.

    Args:
        seats: users with the value of their role, such as `dba`; a user may have several roles.
        current: the present team, whose members may stay although their account is disabled.

    Raises:
        InvalidInput: the team is empty, a role is unknown, or a new member's account is disabled.
    """
    staying = set(current)
    team = list(dict.fromkeys((user, str(role)) for user, role in seats))
    if not team:
        raise InvalidInput(
            "A deployment needs a team. Nothing was changed; add at least one person with a role."
        )
    for user, role in team:
        if role not in Role.values:
            raise InvalidInput(
                f"“{role}” isn't a role. Nothing was changed; the roles are {', '.join(Role.values)}."
            )
        if not user.is_active and (user, role) not in staying:
            raise InvalidInput(f"{user}'s account is disabled. Nothing was changed; choose another person.")
    return team


def default_team(target: Target) -> list[Seat]:
    """Return the target's people with active accounts and their roles, as the initial team."""
    roles = target.roles.select_related("user")
    return [(assigned.user, assigned.role) for assigned in roles if assigned.user.is_active]


def describe_team(seats: Iterable[Seat]) -> str:
    """Return the names with their roles as one phrase."""
    return ", ".join(f"{user} ({Role(role).label})" for user, role in seats) or "nobody"
