"""The names of time zones that people may choose."""

from __future__ import annotations

import zoneinfo
from functools import cache

from django.core.exceptions import ValidationError


@cache
def _known() -> frozenset[str]:
    # Kept: to list them, Python opens every file of the time zone database, some 600 of them.
    return frozenset(zoneinfo.available_timezones())


@cache
def names() -> tuple[str, ...]:
    """Every place of the time zone database, sorted; `UTC` first."""
    places = (name for name in _known() if "/" in name and not name.startswith("Etc/"))
    return ("UTC", *sorted(places))


def validate(name: str) -> None:
    """Accept the names of the time zone database only.

    Raises:
        django.core.exceptions.ValidationError: it is none of them.
    """
    if name not in _known():
        raise ValidationError(f"{name!r} is not a time zone; use a name such as Europe/Berlin.")
