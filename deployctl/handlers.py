"""Handlers that need the project's settings."""

from __future__ import annotations

from django.conf import settings

from deployctl.audit.anchor_stores import AnchorStore
from deployctl.audit.hooks import anchor_stores
from deployctl.runs import allowed_paths
from deployctl.storage.offsite import open_stores


@anchor_stores.connect
def configured_anchor_stores() -> list[AnchorStore]:
    """Return the stores of `DEPLOYCTL_HEADS`, with their credentials."""
    stores = open_stores(
        settings.DEPLOYCTL_HEADS,
        lambda reference: allowed_paths.resolve_reference(reference).reveal(),
        setting="DEPLOYCTL_HEADS",
    )
    return list(stores.values())
