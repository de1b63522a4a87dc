"""The app for signatures. It connects to the hooks of deployments, which do not import it."""

from __future__ import annotations

from django.apps import AppConfig


class SignoffConfig(AppConfig):
    """The configuration of the app."""

    name = "signoff"

    def ready(self) -> None:
        """Connect the handlers."""
        from signoff import handlers  # noqa: F401
