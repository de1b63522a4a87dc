"""Where a test session keeps its files: in memory, where there is room."""

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
# A session holds less than 2 GB at any time; the rest is for programs.
ROOM_BYTES = 6 << 30
# What a container may use, its files in memory included (control groups, version 2).
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")


def in_memory(room_bytes: int) -> Path | None:
    """A folder in memory that takes files and programs; None where there is none with so much room.

    Tests make and drop hundreds of databases of 7 MB and clusters of 40 MB. On a disk, that is most of what a
    session costs, though nobody waits for fsync.
    """
    if not os.access(MEMORY, os.W_OK | os.X_OK) or os.statvfs(MEMORY).f_flag & os.ST_NOEXEC:
        return None
    room = min(shutil.disk_usage(MEMORY).free, psutil.virtual_memory().available, _container_bytes())
    return MEMORY if room >= room_bytes else None


def _container_bytes() -> float:
    try:
        return float(CONTAINER_LIMIT.read_text(encoding="ascii"))
    except (OSError, ValueError):  # no container, or "max"
        return math.inf


def session_folder() -> Path:
    """A new folder for all files of this session, which every account can enter; the caller deletes it.

    It becomes the folder of temporary files, too, for this process and those that it starts.
    """
    if memory := in_memory(ROOM_BYTES):
        sweep(memory)
    new = Path(tempfile.mkdtemp(prefix="new-", dir=memory))
    hold(new)
    # Named only now, so that nobody sweeps it before it is held.
    folder = new.rename(new.with_name(PREFIX + new.name.removeprefix("new-")))
    folder.chmod(0o755)
    os.environ["TEST_LASTING_FOLDER"] = tempfile.gettempdir()
    temporary = folder / "tmp"
    temporary.mkdir()
    temporary.chmod(0o1777)
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
    return folder


def hold(folder: Path) -> int:
    """Keep a folder from being swept until this process ends, however it does. Returns a descriptor."""
    held = os.open(folder, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    return held


def lasting_folder() -> Path:
    """The machine's folder of temporary files, for what is to be there in the next session."""
    return Path(os.environ.get("TEST_LASTING_FOLDER") or tempfile.gettempdir())


def open_to_all(folder: Path) -> None:
    """Let every account enter a folder of this session, such as `tmp_path`; nothing outside is touched."""
    session = Path(tempfile.gettempdir())
    for one in (folder, *folder.parents):
        if session in one.parents:
            one.chmod(0o755)


def sweep(memory: Path) -> None:
    """Give back the memory of sessions that were killed: nobody holds their folder."""
    for folder in memory.glob(f"{PREFIX}*"):
        with suppress(OSError):  # gone meanwhile, somebody else's, or a session that lives
            held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(held)
