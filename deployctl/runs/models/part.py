"""What belongs to a target: the parts that people play for it, and where its secrets are kept."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from deployctl.accounts.roles import Role
from deployctl.runs.models.target import Target


class TargetRole(models.Model):
    """A person's part for a target: its contacts, and who may sign for its deployments."""

    target = models.ForeignKey(Target, on_delete=models.PROTECT, related_name="roles")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="target_roles")
    role = models.CharField(max_length=20, choices=Role.choices)

    class Meta:
        ordering = ["role", "user__name"]
        constraints = [models.UniqueConstraint(fields=["target", "user", "role"], name="target_role_once")]

    def __str__(self) -> str:
        return f"{self.target}: {self.user} is {self.get_role_display()}"


class TargetSecret(models.Model):
    """A named secret that operations on a target need, by reference (`ADMIN_DEFAULT_PASSWORD`)."""

    target = models.ForeignKey(Target, on_delete=models.PROTECT, related_name="secrets")
    name = models.CharField(max_length=100)
    reference = models.CharField(max_length=300)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["target", "name"], name="target_secret_once")]

    def __str__(self) -> str:
        return f"{self.target}: {self.name}"
