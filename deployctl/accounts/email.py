"""Whether e-mail can reach people."""

from __future__ import annotations

from django.conf import settings

# These write e-mail where nobody reads it.
NOWHERE = frozenset({"console", "dummy", "filebased"})


def can_send() -> bool:
    """Whether this installation can send e-mail to people."""
    return settings.EMAIL_BACKEND.split(".")[-2] not in NOWHERE
