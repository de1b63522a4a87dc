"""How values stand in a record."""

from __future__ import annotations

from datetime import UTC, datetime


def moment(at: datetime) -> str:
    """A moment in UTC to the microsecond, in one form (RFC 3339)."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def moment_or_none(at: datetime | None) -> str | None:
    """A moment, or nothing where it has not come."""
    return None if at is None else moment(at)
