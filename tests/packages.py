"""Packages that exist for the duration of a test."""

from __future__ import annotations

import importlib
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def temporary_package(folder: Path, modules: Mapping[str, str]) -> Iterator[str]:
    """Write a package that can be imported during a `with` block, and give its name.

    Args:
        folder: where to write it.
        modules: the source of each module by its name.
    """
    name = f"temporary_{uuid.uuid4().hex}"
    (folder / name).mkdir()
    for module, source in {"__init__": "", **modules}.items():
        (folder / name / f"{module}.py").write_text(source)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield name
    finally:
        sys.path.remove(str(folder))
        for imported in [each for each in sys.modules if each.partition(".")[0] == name]:
            del sys.modules[imported]
