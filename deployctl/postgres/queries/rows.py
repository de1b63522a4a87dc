"""Reading the one row that a statement must return."""

from __future__ import annotations

from typing import TypeVar

Row = TypeVar("Row")


def one(row: Row | None) -> Row:
    """The row itself.

    Raises:
        LookupError: the statement returned none, which its text makes impossible: a defect.
    """
    if row is None:
        raise LookupError("PostgreSQL returned no row where one was certain")
    return row
