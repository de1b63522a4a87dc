"""Create Python packages during a test."""

from __future__ import annotations

import importlib
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def temporary_package(folder: Path, modules: Mapping[str, str]) -> Iterator[str]:
    """Create a package that can be imported during a `with` block, and return its name.

    Args:
        folder: for the package.
        modules: source code by module name.
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
        for module in [module for module in sys.modules if module.partition(".")[0] == name]:
            del sys.modules[module]
