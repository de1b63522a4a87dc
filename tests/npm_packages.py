"""Packages from npm, installed once per machine and lock file, shared by workers and sessions."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.places import lasting_folder

FILES = ("package.json", "package-lock.json", ".npmrc")
INSTALL_WITHIN_S = 600


class NotInstalled(Exception):
    """npm is missing, or failed; the message says which."""


def node_modules(source: Path, name: str) -> Path:
    """The packages that a folder's lock file names, in a folder that every account can read.

    Args:
        source: holds FILES; nothing is written there.
        name: becomes part of the folder's name.

    Raises:
        NotInstalled: they cannot be had.
    """
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise NotInstalled("Node.js 20 with npm is not installed here.")
    digest = hashlib.sha256(b"".join((source / file).read_bytes() for file in FILES)).hexdigest()
    folder = lasting_folder() / f"deployctl-{name}-{os.getuid()}-{digest[:16]}"
    folder.mkdir(mode=0o755, exist_ok=True)
    # Somebody else's folder of that name would be somebody else's code that we run.
    assert folder.stat().st_uid == os.getuid()
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ".done").exists():
            for file in FILES:
                shutil.copy(source / file, folder / file)
            done = subprocess.run(
                [npm, "ci"],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=INSTALL_WITHIN_S,
                check=False,
                umask=0o022,
            )
            if done.returncode != 0:
                raise NotInstalled(f"npm ci failed:\n{done.stderr[-2000:]}")
            (folder / ".done").touch()
    return folder / "node_modules"
