"""A record's keys and values in words: roles by their names, moments and amounts as people write them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from deployctl.accounts.roles import Role
from deployctl.audit.descriptions import label_of

__all__ = ["EMPTY", "format_value", "label_of", "moment"]

EMPTY = "—"

_MOMENTS = frozenset(
    {"at", "start", "end", "requested_at", "started_at", "finished_at", "valid_until", "snapshot_at"}
)


def format_value(key: str, value: Any) -> str:
    """A value as it reads in a sentence.

    Args:
        key: under which it stands, which tells a moment or a role from other text.
    """
    if value is None or value in ("", [], {}):
        return EMPTY
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(
            f"{inner} {format_value(inner, said)}" for inner, said in value.items() if said not in ("", None)
        )
    if isinstance(value, list):
        return "; ".join(format_value(key, entry) for entry in value)
    if key == "role":
        return str(dict(Role.choices).get(value, value))
    if key in _MOMENTS and isinstance(value, str):
        return moment(value)
    return str(value)


def moment(text: str) -> str:
    """A record's moment, in UTC to the second, where it is one."""
    try:
        at = datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return text
    return f"{at:%-d %b %Y, %H:%M:%S} UTC"
