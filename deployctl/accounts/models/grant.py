"""Grants: the site-wide permissions of people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models

from deployctl.accounts.roles import Permission
from deployctl.errors import Refusal

if TYPE_CHECKING:
    from deployctl.accounts.models.user import User


class GrantQuerySet(models.QuerySet["Grant"]):
    """The queryset of grants."""

    def require_another_administrator(self, person: User) -> None:
        """Check that there is another active administrator, even if two remove each other concurrently.

        Raises:
            Refusal: the person is the only active administrator.
        """
        administrators = self.filter(permission=Permission.ADMINISTRATOR)
        list(administrators.select_for_update().order_by("pk"))
        # A separate statement, which sees what was committed while this one waited for the locks.
        active = administrators.filter(user__is_active=True)
        if set(active.values_list("user_id", flat=True)) == {person.pk}:
            raise Refusal(
                f"{person.name} is the only active administrator. Nothing was changed."
                " Make somebody else an administrator first."
            )


class Grant(models.Model):
    """A permission that a person holds; managed by `User.grant` and `User.revoke`."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="grants")
    permission = models.CharField(max_length=20, choices=Permission.choices)
    granted_by_name = models.CharField(max_length=200)
    granted_at = models.DateTimeField(auto_now_add=True)

    objects = GrantQuerySet.as_manager()

    class Meta:
        ordering = ["user", "permission"]
        constraints = [
            models.UniqueConstraint(fields=["user", "permission"], name="one_grant_per_permission")
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.get_permission_display()}"
