"""Actors as foreign keys."""

from __future__ import annotations

from deployctl.accounts.models import User
from deployctl.audit import Actor


def user_of(by: Actor) -> User | None:
    """Return the user for a foreign key, or None if a machine acted."""
    return by if isinstance(by, User) else None
