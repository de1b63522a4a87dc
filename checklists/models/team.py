"""Who takes part in a deployment, and as what."""

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

Seat = tuple[User, str]


class TeamMemberQuerySet(models.QuerySet["TeamMember"]):
    """Parts in teams."""

    def with_people(self) -> TeamMemberQuerySet:
        """With the people, and whether each could sign: `may_approve`, `has_factor`."""
        person = {"pk": OuterRef("user")}
        return self.select_related("user").annotate(
            may_approve=Exists(User.objects.with_permission(Permission.APPROVER).filter(**person)),
            has_factor=Exists(User.objects.enrolled().filter(**person)),
        )


class TeamMember(models.Model):
    """A person's part in a deployment."""

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


def clean_team(seats: Iterable[Seat], present: Iterable[Seat] = ()) -> list[Seat]:
    """A team that can do the work, each seat once, in the order given.

    Args:
        seats: people with the value of their role, such as `dba`; a person may hold several.
        present: who is in it already, and may stay when their account is disabled.

    Raises:
        InvalidInput: nobody at all, an unknown role, or somebody new whose account is disabled.
    """
    staying = set(present)
    team = list(dict.fromkeys((user, str(role)) for user, role in seats))
    if not team:
        raise InvalidInput(
            "A deployment needs a team. Nothing was changed; name at least one person with a role."
        )
    for user, role in team:
        if role not in Role.values:
            raise InvalidInput(
                f"“{role}” is not a role. Nothing was changed; the roles are {', '.join(Role.values)}."
            )
        if not user.is_active and (user, role) not in staying:
            raise InvalidInput(f"{user}'s account is disabled. Nothing was changed; name somebody else.")
    return team


def default_team(target: Target) -> list[Seat]:
    """The target's people, who usually take part; without those whose accounts are disabled."""
    return [(held.user, held.role) for held in target.roles.select_related("user") if held.user.is_active]


def describe_team(seats: Iterable[Seat]) -> str:
    """Names with their roles, in one phrase."""
    return ", ".join(f"{user} ({Role(role).label})" for user, role in seats) or "nobody"
