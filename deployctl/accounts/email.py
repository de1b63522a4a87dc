"""E-mail delivery."""

from __future__ import annotations

from django.conf import settings

# Django's e-mail backends that deliver nothing.
NON_DELIVERING = frozenset({"console", "dummy", "filebased"})


def can_send() -> bool:
    """Return True if the configured backend delivers e-mail."""
    return settings.EMAIL_BACKEND.split(".")[-2] not in NON_DELIVERING
