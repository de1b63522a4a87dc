"""A clock that stands still: nothing ends between two lines of a test, however busy the machine is."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone


class Clock:
    """What Django's `timezone.now` says in this process; the database keeps its own time.

    Attributes:
        stands_at: the moment that it shows; None while it runs.
    """

    def __init__(self) -> None:
        self.stands_at: dt.datetime | None = None
        self.stop()

    def __call__(self) -> dt.datetime:
        return self.stands_at or dt.datetime.now(dt.UTC)

    def stop(self) -> None:
        """Let it stand at this moment."""
        self.stands_at = dt.datetime.now(dt.UTC)

    def run(self) -> None:
        """Let it run from now on, as all clocks do."""
        self.stands_at = None


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Stopped before the test begins: no half minute of one-time codes, no wait, no day ends in it."""
    stopped = Clock()
    monkeypatch.setattr(timezone, "now", stopped)
    return stopped
