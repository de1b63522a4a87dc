"""Due times relative to a deployment's window, such as `-2h`, `+1w` or `+1d12h`."""

from __future__ import annotations

from datetime import datetime, timedelta

UNITS = {"w": timedelta(weeks=1), "d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}
MAX_OFFSET = timedelta(days=3660)  # ten years: beyond it is a typing error, and dates have an end


def parse_due(value: str) -> timedelta:
    """Read an offset: a sign (none means +), then numbers each with a unit w, d, h or m.

    Raises:
        ValueError: with a sentence for the author of the template.
    """
    body = value.replace(" ", "").lower()
    sign = -1 if body.startswith("-") else 1
    body = body.removeprefix("-") if sign < 0 else body.removeprefix("+")
    total, number = timedelta(), ""
    for character in body:
        if character in "0123456789":
            number += character
        elif character in UNITS and number and len(number) <= 7:
            total, number = total + int(number) * UNITS[character], ""
        else:
            raise ValueError(_explanation(value))
    if number or not body:
        raise ValueError(_explanation(value))
    if total > MAX_OFFSET:
        raise ValueError(f"“{value}” is more than ten years from the window; give a nearer due time.")
    return sign * total


def format_due(due: timedelta) -> str:
    """Write an offset in the largest unit that fits it exactly; a day and less in hours."""
    sign, size = ("-", -due) if due < timedelta() else ("+", due)
    for unit, smallest in (("w", 7 * UNITS["d"]), ("d", 2 * UNITS["d"]), ("h", UNITS["h"])):
        if size >= smallest and not size % UNITS[unit]:
            return f"{sign}{size // UNITS[unit]}{unit}"
    return f"{sign}{size // UNITS['m']}m" if size else "+0h"


def due_at(due: timedelta, window_start: datetime, window_end: datetime) -> datetime:
    """When something is due: before the window counts from its start, after it from its end.

    Both ends of the window and the answer carry their time zone.
    """
    return (window_start if due < timedelta() else window_end) + due


def _explanation(value: str) -> str:
    return (
        f"“{value}” is not a due time; write a number with w, d, h or m, "
        "such as -2h (two hours before the window) or +24h (a day after it)."
    )
