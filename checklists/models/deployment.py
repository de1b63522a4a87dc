"""One journey of one target to production."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from checklists.models.template import TemplateVersion
from deployctl.accounts.roles import Role
from deployctl.runs.models import Target


class DeploymentState(models.TextChoices):
    """Where a deployment is; see the architecture's table of states."""

    PLANNING = "planning", "Planning"
    APPROVED = "approved", "Approved"
    DEPLOYING = "deploying", "Deploying"
    VERIFYING = "verifying", "Verifying"
    SIGNED_OFF = "signed_off", "Signed off"
    CLOSED = "closed", "Closed"
    HALTED = "halted", "Halted"
    ROLLING_BACK = "rolling_back", "Rolling back"
    ROLLED_BACK = "rolled_back", "Rolled back"
    CANCELLED = "cancelled", "Cancelled"


class Deployment(models.Model):
    """A deployment of a target, with its window, team and rollback plan."""

    title = models.CharField(max_length=200)
    target = models.ForeignKey(Target, on_delete=models.PROTECT, related_name="deployments")
    template_version = models.ForeignKey(TemplateVersion, on_delete=models.PROTECT, related_name="deployments")
    state = models.CharField(max_length=20, choices=DeploymentState.choices, default=DeploymentState.PLANNING)
    # Where a halted deployment returns to.
    state_before_halt = models.CharField(max_length=20, choices=DeploymentState.choices, blank=True)
    window_start = models.DateTimeField()
    window_end = models.DateTimeField()
    rollback_plan = models.TextField()
    notes = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="created_deployments"
    )
    created_by_name = models.CharField(max_length=200)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(window_end__gt=models.F("window_start")), name="window_ends_after_start"
            )
        ]

    def __str__(self) -> str:
        return self.title


class StateChange(models.Model):
    """A deployment's move from one state to another: who, when, why."""

    deployment = models.ForeignKey(Deployment, on_delete=models.PROTECT, related_name="state_changes")
    from_state = models.CharField(max_length=20, choices=DeploymentState.choices, blank=True)
    to_state = models.CharField(max_length=20, choices=DeploymentState.choices)
    at = models.DateTimeField(auto_now_add=True)
    by_name = models.CharField(max_length=200)
    reason = models.TextField(blank=True)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.deployment}: {self.from_state} → {self.to_state}"


class TeamMember(models.Model):
    """A person's part in a deployment."""

    deployment = models.ForeignKey(Deployment, on_delete=models.PROTECT, related_name="team")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="deployment_roles")
    role = models.CharField(max_length=20, choices=Role.choices)

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["deployment", "user", "role"], name="team_member_once")]

    def __str__(self) -> str:
        return f"{self.user}: {self.get_role_display()}"
