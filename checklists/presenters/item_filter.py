"""The filters of a deployment's page."""

from __future__ import annotations

from enum import StrEnum

from checklists.models import ItemState
from checklists.presenters.item_row import ItemRow


class ItemFilter(StrEnum):
    """A filter; its value is the query parameter, as in `?show=mine`."""

    ALL = "all"
    MINE = "mine"
    OPEN = "open"
    FAILING = "failing"
    LATE = "late"

    @classmethod
    def parse(cls, value: str | None) -> ItemFilter:
        """Return the filter with this value; `ALL` if there is none."""
        return next((each for each in cls if each.value == value), cls.ALL)

    @property
    def label(self) -> str:
        """The name on the page."""
        return self.value.capitalize()

    def shows(self, row: ItemRow) -> bool:
        """Return True if the item or one of its sub-items matches."""
        return self._matches(row) or any(self.shows(child) for child in row.children)

    def counts(self, row: ItemRow) -> bool:
        """Return True if the item matches and is a counted item."""
        return not row.is_parent and self._matches(row)

    def _matches(self, row: ItemRow) -> bool:
        match self:
            case ItemFilter.MINE:
                return row.is_mine and row.is_outstanding
            case ItemFilter.OPEN:
                return row.is_outstanding
            case ItemFilter.FAILING:
                return row.item.state == ItemState.FAILED
            case ItemFilter.LATE:
                return row.overdue_by is not None
        return True
