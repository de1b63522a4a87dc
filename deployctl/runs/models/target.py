"""One database under care: where it is, whose it is, and where its project lies."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Lower

from deployctl.accounts.roles import Role


class Environment(models.TextChoices):
    """What a target is used for; `production` asks for more before anything changes it."""

    DEVELOPMENT = "development", "Development"
    STAGING = "staging", "Staging"
    PRODUCTION = "production", "Production"


class Target(models.Model):
    """A database under care. Holds a reference to its connection URL, never the URL."""

    name = models.SlugField(max_length=60)
    environment = models.CharField(max_length=20, choices=Environment.choices)
    description = models.CharField(max_length=300, blank=True)
    connection_reference = models.CharField(max_length=300)
    project_folder = models.CharField(max_length=500, blank=True)
    # Identity is the cluster's system identifier and the database's oid, not the name.
    system_identifier = models.CharField(max_length=40, blank=True)
    database_oid = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by_name = models.CharField(max_length=200)
    archived_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(Lower("name"), name="target_name_unique")]

    def __str__(self) -> str:
        return self.name


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
