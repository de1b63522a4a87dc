"""The stages of a checklist."""

from __future__ import annotations

from django.db import models


class Stage(models.TextChoices):
    """When a section's promises are due, and which gate covers them."""

    PRE = "pre", "Before approval"
    DEPLOY = "deploy", "Deployment"
    POST = "post", "After deployment"
    WEEK = "week", "First week"
    ONGOING = "ongoing", "Ongoing"
    REFERENCE = "reference", "Reference"
