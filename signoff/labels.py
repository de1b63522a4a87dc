"""Labels for the keys of a record, and its values as text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from deployctl.accounts.roles import Role
from deployctl.audit.descriptions import label_of

__all__ = ["EMPTY", "format_time", "format_value", "label_of"]

EMPTY = "—"

_TIME_KEYS = frozenset(
    {"at", "start", "end", "requested_at", "started_at", "finished_at", "valid_until", "snapshot_at"}
)


def format_value(key: str, value: Any) -> str:
    """Return a value of a record as text for a sentence.

    Args:
        key: the key of the value; times and roles are recognized by it.
    """
    if value is None or value in ("", [], {}):
        return EMPTY
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(
            f"{inner} {format_value(inner, entry)}"
            for inner, entry in value.items()
            if entry not in ("", None)
        )
    if isinstance(value, list):
        return "; ".join(format_value(key, entry) for entry in value)
    if key == "role":
        return str(dict(Role.choices).get(value, value))
    if key in _TIME_KEYS and isinstance(value, str):
        return format_time(value)
    return str(value)


def format_time(text: str) -> str:
    """Return a time of a record in UTC to the second; other text unchanged."""
    try:
        at = datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return text
    return f"{at:%-d %b %Y, %H:%M:%S} UTC"
