"""The time zones that people can choose."""

from __future__ import annotations

import zoneinfo
from functools import cache

from django.core.exceptions import ValidationError


@cache
def _known() -> frozenset[str]:
    # Cached, because Python opens all 600 files of the time zone database to list them.
    return frozenset(zoneinfo.available_timezones())


@cache
def names() -> tuple[str, ...]:
    """Return the region names of the time zone database, sorted, with `UTC` first."""
    places = (name for name in _known() if "/" in name and not name.startswith("Etc/"))
    return ("UTC", *sorted(places))


def validate(name: str) -> None:
    """Validate that a name is in the time zone database.

    Raises:
        django.core.exceptions.ValidationError: it isn't.
    """
    if name not in _known():
        raise ValidationError(f"{name!r} isn't a time zone. Use a name such as Europe/Berlin.")
