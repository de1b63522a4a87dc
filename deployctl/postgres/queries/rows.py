"""Read the row of a statement that always returns one."""

from __future__ import annotations

from typing import TypeVar

Row = TypeVar("Row")


def one(row: Row | None) -> Row:
    """Return the row.

    Raises:
        LookupError: there is no row, which is a bug in the caller.
    """
    if row is None:
        raise LookupError("PostgreSQL returned no row for a statement that always returns one")
    return row
