"""The app that asks for signatures: it listens to deployments, which know nothing of it."""

from __future__ import annotations

from django.apps import AppConfig


class SignoffConfig(AppConfig):
    """Adds gates and signatures to deployments."""

    name = "signoff"

    def ready(self) -> None:
        """Connect the handlers."""
        from signoff import handlers  # noqa: F401
