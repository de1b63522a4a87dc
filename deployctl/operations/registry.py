"""Which operations there are: one per file of `kinds/`, found by looking."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from deployctl.errors import InvalidInput
from deployctl.operations import kinds
from deployctl.operations.base import Operation


@cache
def catalogue() -> Mapping[str, type[Operation]]:
    """Every operation by kind, in alphabetical order.

    Raises:
        TypeError: a file of `kinds/` does not hold exactly one operation named after it.
    """
    names = sorted(module.name for module in pkgutil.iter_modules(kinds.__path__))
    return MappingProxyType({name: _operation_in(name) for name in names})


def operation(kind: str) -> type[Operation]:
    """The operation of a kind.

    Raises:
        InvalidInput: there is none; the message lists those there are.
    """
    try:
        return catalogue()[kind]
    except KeyError:
        raise InvalidInput(f"There is no operation {kind!r}. There are: {', '.join(catalogue())}.") from None


def _operation_in(name: str) -> type[Operation]:
    module = importlib.import_module(f"{kinds.__name__}.{name}")
    found = [
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, Operation) and member.__module__ == module.__name__
    ]
    if len(found) != 1 or found[0].kind != name:
        raise TypeError(f"{module.__name__} must hold exactly one Operation, with kind = {name!r}")
    return found[0]
