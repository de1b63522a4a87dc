"""The project itself as an app: only its system checks live here."""

from __future__ import annotations

from django.apps import AppConfig


class DeployctlConfig(AppConfig):
    """Registers the system checks."""

    name = "deployctl"

    def ready(self) -> None:
        """Make `manage.py check` and every start look at the configuration."""
        from deployctl import system_checks  # noqa: F401 (registers by being imported)
