"""A frozen clock, so nothing expires between two lines of a test, however busy the machine is."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone


class Clock:
    """A replacement for Django's `timezone.now` in this process. The database keeps the real time.

    Attributes:
        frozen_at: the time that it returns; None while it is not frozen.
    """

    def __init__(self) -> None:
        self.frozen_at: dt.datetime | None = None
        self.freeze()

    def __call__(self) -> dt.datetime:
        return self.frozen_at or dt.datetime.now(dt.UTC)

    def freeze(self) -> None:
        """Stop the clock at the current time."""
        self.frozen_at = dt.datetime.now(dt.UTC)

    def unfreeze(self) -> None:
        """Return the real time from now on."""
        self.frozen_at = None


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that is frozen during the test, so no one-time code, delay or day ends in it."""
    frozen = Clock()
    monkeypatch.setattr(timezone, "now", frozen)
    return frozen
