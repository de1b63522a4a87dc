"""The app that asks for signatures: it listens to deployments, which know nothing of it."""

from __future__ import annotations

from django.apps import AppConfig


class SignoffConfig(AppConfig):
    """Registers the gates with the deployments below."""

    name = "signoff"

    def ready(self) -> None:
        """Hear of new deployments and of changes to what was signed."""
        from signoff import reactions

        reactions.register()
