"""Roles for targets and deployments, and site-wide permissions."""

from __future__ import annotations

from django.db import models


class Role(models.TextChoices):
    """A person's responsibility for a target or in a deployment; gates need signatures by role."""

    DBA = "dba", "Database Administrator"
    DEVOPS_LEAD = "devops_lead", "DevOps Lead"
    CTO = "cto", "CTO/Tech Lead"
    APP_TEAM_LEAD = "app_team_lead", "Application Team Lead"
    QA_LEAD = "qa_lead", "QA Lead"
    ON_CALL = "on_call", "On-Call Engineer"


class Permission(models.TextChoices):
    """A site-wide permission; every active person is a viewer."""

    VIEWER = "viewer", "Viewer"
    OPERATOR = "operator", "Operator"
    APPROVER = "approver", "Approver"
    ADMINISTRATOR = "administrator", "Administrator"
