"""Who gave whom which permission, and when."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from deployctl.accounts.roles import Permission


class Grant(models.Model):
    """A permission that a person holds; given and taken by `User.grant` and `User.revoke`."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="grants")
    permission = models.CharField(max_length=20, choices=Permission.choices)
    granted_by_name = models.CharField(max_length=200)
    granted_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["user", "permission"]
        constraints = [
            models.UniqueConstraint(fields=["user", "permission"], name="one_grant_per_permission")
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.get_permission_display()}"
