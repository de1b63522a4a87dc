"""The time in which a deployment may touch its target."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from deployctl.errors import InvalidInput

# Nobody keeps an application down for longer; a window of a year is a slip in the year's last digit, and
# would keep every other deployment of the target out.
MAX_DURATION = timedelta(days=31)
# Years beyond these are slips, and at the ends of the calendar some zones have no date to show.
YEARS = range(2000, 3000)


@dataclass(frozen=True)
class Window:
    """A start and an end, each with its time zone."""

    start: datetime
    end: datetime

    @classmethod
    def validated(cls, start: datetime, end: datetime) -> Window:
        """A window that a deployment can be planned for.

        Raises:
            InvalidInput: no time zone, ends before it starts, lies in the past or far ahead, or is longer
                than 31 days.
        """
        if timezone.is_naive(start) or timezone.is_naive(end):
            raise InvalidInput(
                "The window's times need a time zone, such as 2030-01-31T22:00+01:00. Nothing was changed."
            )
        if start.year not in YEARS or end.year not in YEARS:
            raise InvalidInput(
                f"The window's years, {start.year} and {end.year}, look like a slip. Nothing was changed; "
                f"give years from {YEARS[0]} to {YEARS[-1]}."
            )
        window = cls(start, end)
        if end <= start:
            raise InvalidInput(
                f"The window ends before it starts ({window}). Nothing was changed; swap the times."
            )
        if end <= timezone.now():
            raise InvalidInput(
                f"The window is over already ({window}). Nothing was changed; give a later one."
            )
        if end - start > MAX_DURATION:
            raise InvalidInput(
                f"The window is longer than {MAX_DURATION.days} days ({window}), which looks like a slip. "
                "Nothing was changed; give a shorter one."
            )
        return window

    @property
    def has_opened(self) -> bool:
        """Whether its start is behind us."""
        return self.start <= timezone.now()

    def __str__(self) -> str:
        start, end = timezone.localtime(self.start), timezone.localtime(self.end)
        last = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%-d %b %Y %H:%M}"
        return f"{start:%-d %b %Y %H:%M} – {last} {end:%Z}"
