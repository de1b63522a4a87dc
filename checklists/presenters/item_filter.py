"""Which of a hundred and fifty items the viewer wants to see."""

from __future__ import annotations

from enum import StrEnum

from checklists.models import ItemState
from checklists.presenters.item_row import ItemRow


class Show(StrEnum):
    """The filters of a deployment's page, as they stand in its address (`?show=mine`)."""

    ALL = "all"
    MINE = "mine"
    OPEN = "open"
    FAILING = "failing"
    LATE = "late"

    @classmethod
    def read(cls, text: str | None) -> Show:
        """The filter of an address; everything where it names none that exists."""
        return next((show for show in cls if show.value == text), cls.ALL)

    @property
    def label(self) -> str:
        """What the filter is called on the page."""
        return self.value.capitalize()

    def shows(self, row: ItemRow) -> bool:
        """Whether an item is shown: itself, or because one of its sub-items is."""
        return self._shows_itself(row) or any(self.shows(child) for child in row.children)

    def counts(self, row: ItemRow) -> bool:
        """Whether an item counts in the filter's number; what follows its sub-items does not."""
        return not row.is_parent and self._shows_itself(row)

    def _shows_itself(self, row: ItemRow) -> bool:
        match self:
            case Show.MINE:
                return row.is_mine and row.is_outstanding
            case Show.OPEN:
                return row.is_outstanding
            case Show.FAILING:
                return row.item.state == ItemState.FAILED
            case Show.LATE:
                return row.overdue_by is not None
        return True
