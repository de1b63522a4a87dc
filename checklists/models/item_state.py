"""The states of an item."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import models


class ItemState(models.TextChoices):
    """The state of an item."""

    OPEN = "open", "Open"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    WAIVED = "waived", "Waived"

    @classmethod
    def of_children(cls, states: Iterable[str]) -> ItemState:
        """Return the state of an item with sub-items: failed if one failed, open if one is open, else done.

        Waived sub-items do not count, unless all of them are waived: then the item is waived.
        """
        found = set(states)
        for state in (cls.FAILED, cls.OPEN, cls.DONE):
            if state in found:
                return state
        return cls.WAIVED


OUTSTANDING = (ItemState.OPEN, ItemState.FAILED)
