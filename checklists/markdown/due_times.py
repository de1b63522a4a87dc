"""Due times relative to a deployment's window, such as `-2h`, `+1w` or `+1d12h`."""

from __future__ import annotations

from datetime import datetime, timedelta

UNITS = {"w": timedelta(weeks=1), "d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}
MAX_OFFSET = timedelta(days=3660)  # ten years; more is a typing error, and could exceed the range of dates


def parse_due(value: str) -> timedelta:
    """Parse an offset: an optional sign (default +), then numbers, each with a unit w, d, h or m.

    Raises:
        ValueError: the offset is invalid; the message is for the template's author.
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
            raise ValueError(_invalid_message(value))
    if number or not body:
        raise ValueError(_invalid_message(value))
    if total > MAX_OFFSET:
        raise ValueError(f"“{value}” is more than ten years from the window; use a smaller offset.")
    return sign * total


def format_due(due: timedelta) -> str:
    """Format an offset in the largest unit that fits exactly; up to one day in hours."""
    sign, size = ("-", -due) if due < timedelta() else ("+", due)
    for unit, smallest in (("w", 7 * UNITS["d"]), ("d", 2 * UNITS["d"]), ("h", UNITS["h"])):
        if size >= smallest and not size % UNITS[unit]:
            return f"{sign}{size // UNITS[unit]}{unit}"
    return f"{sign}{size // UNITS['m']}m" if size else "+0h"


def due_at(due: timedelta, window_start: datetime, window_end: datetime) -> datetime:
    """Return the due time: a negative offset counts from the window's start, any other from its end."""
    return (window_start if due < timedelta() else window_end) + due


def _invalid_message(value: str) -> str:
    return (
        f"“{value}” isn't a valid due time; write a number with w, d, h or m, "
        "such as -2h (two hours before the window) or +24h (a day after it)."
    )
