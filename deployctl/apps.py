"""The project itself as an app: its system checks, its Celery application, its handlers."""

from __future__ import annotations

from django.apps import AppConfig


class DeployctlConfig(AppConfig):
    """Registers the system checks and the Celery application."""

    name = "deployctl"

    def ready(self) -> None:
        """Make `manage.py check` and every start look at the configuration; make tasks know their broker."""
        from deployctl import celery, handlers, system_checks  # noqa: F401 (they register when imported)
