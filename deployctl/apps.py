"""The app configuration of the project itself."""

from __future__ import annotations

from django.apps import AppConfig


class DeployctlConfig(AppConfig):
    """The app of the project, which loads its system checks, Celery application and handlers."""

    name = "deployctl"

    def ready(self) -> None:
        """Import the modules that register something when they are imported."""
        from deployctl import celery, handlers, system_checks  # noqa: F401
