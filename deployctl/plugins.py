"""Discover plugins: classes with one file each, such as the operations in `kinds/`.

To add a plugin, add a file to the catalogue's package. Another installed distribution adds its own package
with `OPERATIONS.add("shop_operations")` in the `ready` method of its `AppConfig`.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import TypeVar

T = TypeVar("T")


def discover(package: str, base: type[T], key: str) -> Mapping[str, type[T]]:
    """Return the plugin of every module in a package by its key, in alphabetical order.

    Args:
        package: import path of the package; its subpackages are not searched.
        base: base class of the plugins.
        key: name of the class attribute that identifies a plugin; its value must be the module's name.

    Raises:
        TypeError: a module doesn't contain exactly one plugin, or its key is not the module's name.
    """
    names = sorted(
        found.name
        for found in pkgutil.iter_modules(importlib.import_module(package).__path__)
        if not found.ispkg
    )
    return MappingProxyType({name: _plugin_in(f"{package}.{name}", base, key) for name in names})


def _plugin_in(module_name: str, base: type[T], key: str) -> type[T]:
    module = importlib.import_module(module_name)
    found = [
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, base) and member.__module__ == module_name and not inspect.isabstract(member)
    ]
    name = module_name.rpartition(".")[2]
    if len(found) != 1 or getattr(found[0], key, None) != name:
        raise TypeError(
            f"{module_name} must contain exactly one class that inherits from {base.__name__} and implements "
            f"its abstract methods, with {key} = {name!r}."
        )
    return found[0]


class Catalogue(Mapping[str, type[T]]):
    """The plugins of one kind by key, in alphabetical order. Packages are searched at the first access.

    Args:
        package, base, key: see `discover`.
    """

    def __init__(self, package: str, base: type[T], key: str) -> None:
        self._sources: list[str | type[T]] = [package]
        self._base, self._key = base, key
        self._found: Mapping[str, type[T]] | None = None

    def add(self, *sources: str | type[T]) -> None:
        """Add further packages, by import path, or single classes."""
        self._sources += sources
        self._found = None

    @contextmanager
    def extended(self, *sources: str | type[T]) -> Iterator[None]:
        """Add packages or classes during a `with` block."""
        before = list(self._sources)
        self.add(*sources)
        try:
            yield
        finally:
            self._sources, self._found = before, None

    def __getitem__(self, key: str) -> type[T]:
        return self._plugins[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._plugins)

    def __len__(self) -> int:
        return len(self._plugins)

    @property
    def _plugins(self) -> Mapping[str, type[T]]:
        if self._found is None:
            found: dict[str, type[T]] = {}
            for source in self._sources:
                more = self._plugins_of(source)
                if duplicates := sorted(found.keys() & more.keys()):
                    raise TypeError(f"{source} repeats the {self._base.__name__} {', '.join(duplicates)}.")
                found |= more
            self._found = dict(sorted(found.items()))
        return self._found

    def _plugins_of(self, source: str | type[T]) -> Mapping[str, type[T]]:
        if isinstance(source, str):
            return discover(source, self._base, self._key)
        return {getattr(source, self._key): source}
