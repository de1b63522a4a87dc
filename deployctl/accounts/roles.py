"""The roles of the user's document, and what a person may do on the site."""

from __future__ import annotations

from django.db import models


class Role(models.TextChoices):
    """A part that somebody plays for a target or a deployment; gates ask for signatures by role."""

    DBA = "dba", "Database Administrator"
    DEVOPS_LEAD = "devops_lead", "DevOps Lead"
    CTO = "cto", "CTO/Tech Lead"
    APP_TEAM_LEAD = "app_team_lead", "Application Team Lead"
    QA_LEAD = "qa_lead", "QA Lead"
    ON_CALL = "on_call", "On-Call Engineer"


class Permission(models.TextChoices):
    """What a person may do anywhere on the site; every active person is a viewer."""

    VIEWER = "viewer", "Viewer"
    OPERATOR = "operator", "Operator"
    APPROVER = "approver", "Approver"
    ADMINISTRATOR = "administrator", "Administrator"
