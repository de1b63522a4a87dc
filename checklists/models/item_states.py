"""Where an item can be, and how it is kept."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import models


class ItemState(models.TextChoices):
    """Where an item is."""

    OPEN = "open", "Open"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    WAIVED = "waived", "Waived"

    @classmethod
    def of_children(cls, states: Iterable[str]) -> ItemState:
        """What an item with sub-items is: failed as soon as one failed, open while one is open, else done.

        Waived sub-items do not count, unless all are: then the item is waived.
        """
        found = set(states)
        for state in (cls.FAILED, cls.OPEN, cls.DONE):
            if state in found:
                return state
        return cls.WAIVED


class ItemKind(models.TextChoices):
    """How an item is kept."""

    MANUAL = "manual", "By a person"
    CHECK = "check", "By a check"
    OPERATION = "operation", "By an operation"


UNKEPT = (ItemState.OPEN, ItemState.FAILED)
