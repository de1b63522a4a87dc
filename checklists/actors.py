"""Actors as rows keep them."""

from __future__ import annotations

from deployctl.accounts.models import User
from deployctl.audit import Actor


def user_of(by: Actor) -> User | None:
    """The person behind an act, for a foreign key; None where a machine acted."""
    return by if isinstance(by, User) else None
