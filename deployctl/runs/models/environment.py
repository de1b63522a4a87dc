"""What a target is used for."""

from __future__ import annotations

from django.db import models


class Environment(models.TextChoices):
    """What a target is used for; `production` asks for more before anything changes it."""

    DEVELOPMENT = "development", "Development"
    STAGING = "staging", "Staging"
    PRODUCTION = "production", "Production"
