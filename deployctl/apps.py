"""The project itself as an app: its system checks, its Celery application, the places of signed heads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.apps import AppConfig

if TYPE_CHECKING:
    from deployctl.audit import places


class DeployctlConfig(AppConfig):
    """Registers the system checks and the Celery application."""

    name = "deployctl"

    def ready(self) -> None:
        """Make `manage.py check` and every start look at the configuration; make tasks know their broker."""
        from deployctl import celery, system_checks  # noqa: F401 (both register by being imported)
        from deployctl.audit import places

        places.register(_places_of_heads)


def _places_of_heads() -> list[places.Place]:
    """The stores of `DEPLOYCTL_HEADS`, their credentials read now."""
    from django.conf import settings

    from deployctl.runs import references
    from deployctl.storage.offsite import open_stores

    stores = open_stores(
        settings.DEPLOYCTL_HEADS,
        lambda reference: references.resolve(reference).reveal(),
        setting="DEPLOYCTL_HEADS",
    )
    return list(stores.values())
