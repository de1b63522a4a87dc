"""Folders for the files of a test session, in memory if there is enough space."""

from __future__ import annotations

import fcntl
import math
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil

MEMORY = Path("/dev/shm")
PREFIX = "deployctl-session-"
# A session's files take less than 2 GB at any time; the rest is for programs.
NEEDED_BYTES = 6 << 30
# Memory limit of a container, which includes its files in memory (control groups, version 2).
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")


def memory_folder(needed_bytes: int) -> Path | None:
    """Return a folder in memory for files and programs, or None if none has enough space.

    Tests create and drop hundreds of databases of 7 MB and clusters of 40 MB. On a disk, this would take most
    of the time of a session, even without fsync.
    """
    if not os.access(MEMORY, os.W_OK | os.X_OK) or os.statvfs(MEMORY).f_flag & os.ST_NOEXEC:
        return None
    available = min(
        shutil.disk_usage(MEMORY).free, psutil.virtual_memory().available, _container_limit_bytes()
    )
    return MEMORY if available >= needed_bytes else None


def _container_limit_bytes() -> float:
    try:
        return float(CONTAINER_LIMIT.read_text(encoding="ascii"))
    except (OSError, ValueError):  # no container, or "max"
        return math.inf


def session_folder() -> Path:
    """Create a folder for all files of this session, accessible to every account. The caller deletes it.

    It also holds the temporary files of this process and its children.
    """
    if memory := memory_folder(NEEDED_BYTES):
        delete_abandoned(memory)
    new = Path(tempfile.mkdtemp(prefix="new-", dir=memory))
    lock(new)
    # Renamed only after it is locked, so no other session deletes it as abandoned.
    folder = new.rename(new.with_name(PREFIX + new.name.removeprefix("new-")))
    folder.chmod(0o755)
    os.environ["TEST_LASTING_FOLDER"] = tempfile.gettempdir()
    temporary = folder / "tmp"
    temporary.mkdir()
    temporary.chmod(0o1777)
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
    return folder


def lock(folder: Path) -> int:
    """Lock a folder until this process ends, so it isn't deleted as abandoned. Return the descriptor."""
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def persistent_folder() -> Path:
    """Return the machine's folder of temporary files, for files that the next session reuses."""
    return Path(os.environ.get("TEST_LASTING_FOLDER") or tempfile.gettempdir())


def make_accessible(folder: Path) -> None:
    """Let every account enter a folder of this session, such as `tmp_path`; don't touch other folders."""
    session = Path(tempfile.gettempdir())
    for path in (folder, *folder.parents):
        if session in path.parents:
            path.chmod(0o755)


def delete_abandoned(memory: Path) -> None:
    """Delete the folders of killed sessions, which nobody has locked, to free their memory."""
    for folder in memory.glob(f"{PREFIX}*"):
        with suppress(OSError):  # already deleted, owned by another account, or a running session
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)
