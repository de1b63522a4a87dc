"""How an application's migrations are applied: one file per tool, found by looking."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deployctl.operations.migrators.base import Migrator
    from deployctl.operations.project import Project


@cache
def catalogue() -> Mapping[str, type[Migrator]]:
    """Every tool by the name it has in `deployctl.toml`, in alphabetical order.

    Raises:
        TypeError: a tool is not in the file named after it.
    """
    from deployctl.operations.migrators.base import Migrator

    found: dict[str, type[Migrator]] = {}
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        for _, member in inspect.getmembers(module, inspect.isclass):
            if member.__module__ != module.__name__ or not issubclass(member, Migrator):
                continue
            if inspect.isabstract(member):
                continue
            if member.tool != info.name:
                raise TypeError(f"{module.__name__} must hold the migrator with tool = {info.name!r}")
            found[member.tool] = member
    return MappingProxyType(dict(sorted(found.items())))


def migrator_for(project: Project) -> Migrator:
    """The tool that a project's `deployctl.toml` names."""
    return catalogue()[project.migrations.tool](project)
