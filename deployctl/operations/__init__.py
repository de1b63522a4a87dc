"""The operations on a target. They use PostgreSQL, but not deployctl's own tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deployctl.operations.framework.base import Operation


def catalogue() -> Mapping[str, type[Operation]]:
    """Return the operations by kind. Imported late, because the operations import from this package."""
    from deployctl.operations.framework.registry import OPERATIONS

    return OPERATIONS
