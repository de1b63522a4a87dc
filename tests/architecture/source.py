"""The source files of the product, for the tests of its architecture."""

from __future__ import annotations

import ast
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("deployctl", "checklists", "signoff", "monitoring")


@dataclass(frozen=True)
class Source:
    """A Python file.

    Attributes:
        path: relative to the root of the repository.
        text: the content.
    """

    path: PurePosixPath
    text: str

    @property
    def module(self) -> str:
        """The import path."""
        return ".".join(self.path.with_suffix("").parts).removesuffix(".__init__")

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        return ast.parse(self.text)

    @property
    def line_count(self) -> int:
        """The number of lines."""
        return len(self.text.splitlines())


def product() -> list[Source]:
    """Return every Python file of the product except the database migrations."""
    listed = subprocess.run(
        ["/usr/bin/env", "git", "ls-files", "--", *(f"{package}/*.py" for package in PACKAGES)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    paths = [PurePosixPath(line) for line in listed if (ROOT / line).exists()]
    return [
        Source(path, (ROOT / path).read_text(encoding="utf-8")) for path in paths if not _is_migration(path)
    ]


def _is_migration(path: PurePosixPath) -> bool:
    return path.parent.name == "migrations" and path.name[:4].isdigit()
