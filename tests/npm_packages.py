"""Install npm packages once per machine and lock file, for all workers and test sessions."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.temporary_folders import persistent_folder

FILES = ("package.json", "package-lock.json", ".npmrc")
INSTALL_TIMEOUT_S = 600


class NotInstalled(Exception):
    """npm is missing or failed. The message says which."""


def node_modules(source: Path, name: str) -> Path:
    """Install the packages of a lock file and return their folder, which every account can read.

    Args:
        source: folder that contains FILES; nothing is written to it.
        name: part of the name of the new folder.

    Raises:
        NotInstalled: the packages could not be installed.
    """
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise NotInstalled("Node.js 20 with npm is not installed here.")
    digest = hashlib.sha256(b"".join((source / file).read_bytes() for file in FILES)).hexdigest()
    folder = persistent_folder() / f"deployctl-{name}-{os.getuid()}-{digest[:16]}"
    folder.mkdir(mode=0o755, exist_ok=True)
    # Never run code from a folder that another account created.
    assert folder.stat().st_uid == os.getuid()
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ".done").exists():
            for file in FILES:
                shutil.copy(source / file, folder / file)
            install = subprocess.run(
                [npm, "ci"],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=INSTALL_TIMEOUT_S,
                check=False,
                umask=0o022,
            )
            if install.returncode != 0:
                raise NotInstalled(f"npm ci failed:\n{install.stderr[-2000:]}")
            (folder / ".done").touch()
    return folder / "node_modules"
