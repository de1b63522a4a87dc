"""The registry of operations: one per file of `kinds/`."""

from __future__ import annotations

from deployctl.errors import InvalidInput
from deployctl.operations.framework.base import Operation
from deployctl.plugins import Catalogue

OPERATIONS: Catalogue[Operation] = Catalogue("deployctl.operations.kinds", Operation, "kind")


def operation(kind: str) -> type[Operation]:
    """Return the operation of a kind.

    Raises:
        InvalidInput: there is no such operation; the message lists all kinds.
    """
    try:
        return OPERATIONS[kind]
    except KeyError:
        raise InvalidInput(f"There is no operation {kind!r}. Operations: {', '.join(OPERATIONS)}.") from None
