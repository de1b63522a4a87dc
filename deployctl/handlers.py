"""The handlers of the project itself, which knows the settings."""

from __future__ import annotations

from django.conf import settings

from deployctl.audit.hooks import anchor_stores
from deployctl.audit.places import Place
from deployctl.runs import references
from deployctl.storage.offsite import open_stores


@anchor_stores.connect
def configured_anchor_stores() -> list[Place]:
    """Return the stores of `DEPLOYCTL_HEADS`, after reading their credentials."""
    stores = open_stores(
        settings.DEPLOYCTL_HEADS,
        lambda reference: references.resolve(reference).reveal(),
        setting="DEPLOYCTL_HEADS",
    )
    return list(stores.values())
