"""The window of a deployment: its planned start and end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from deployctl.errors import InvalidInput

# A longer window is probably a typing error, and would block every other deployment of the target.
MAX_DURATION = timedelta(days=31)
# Other years are typing errors; near the ends of the calendar, conversion to some time zones overflows.
YEARS = range(2000, 3000)


@dataclass(frozen=True)
class Window:
    """A start and an end, each with a time zone."""

    start: datetime
    end: datetime

    @classmethod
    def validated(cls, start: datetime, end: datetime) -> Window:
        """Return a window for which a deployment can be planned.

        Raises:
            InvalidInput: the times have no time zone or an implausible year, or the window ends before it
                starts, is over, or is longer than 31 days.
        """
        if timezone.is_naive(start) or timezone.is_naive(end):
            raise InvalidInput(
                "The window's times need a time zone. Nothing was changed; write them as in "
                "2030-01-31T22:00+01:00."
            )
        if start.year not in YEARS or end.year not in YEARS:
            raise InvalidInput(
                f"The window's years ({start.year} and {end.year}) aren't plausible. Nothing was changed; "
                f"use years from {YEARS[0]} to {YEARS[-1]}."
            )
        window = cls(start, end)
        if end <= start:
            raise InvalidInput(
                f"The window ends before it starts ({window}). Nothing was changed; swap the times."
            )
        if end <= timezone.now():
            raise InvalidInput(
                f"The window is already over ({window}). Nothing was changed; choose a later one."
            )
        if end - start > MAX_DURATION:
            raise InvalidInput(
                f"The window is longer than {MAX_DURATION.days} days ({window}). "
                "Nothing was changed; choose a shorter one."
            )
        return window

    @property
    def has_opened(self) -> bool:
        """Return True if the window's start is past."""
        return self.start <= timezone.now()

    def __str__(self) -> str:
        start, end = timezone.localtime(self.start), timezone.localtime(self.end)
        last = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%-d %b %Y %H:%M}"
        return f"{start:%-d %b %Y %H:%M} – {last} {end:%Z}"
