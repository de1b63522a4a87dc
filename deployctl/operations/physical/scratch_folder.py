"""Create a scratch folder for a restored cluster and remove it afterwards, even if the worker was killed.

A scratch folder is recognized by its name. It is in use while a process holds its lock file, which the kernel
releases when the process dies.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deployctl.embedded.cluster import clear_leftovers
from deployctl.embedded.errors import FolderInUse
from deployctl.embedded.os_account import Account
from deployctl.embedded.private_files import FolderLock
from deployctl.operations.framework.base import Job, OperationFailed

PREFIX = "deployctl-scratch-"
NAME = re.compile(r"deployctl-scratch-[a-z0-9_-]+-\d+-[0-9a-f]{8}")
SOCKET_PREFIX = "deployctl-socket-"
# Reserved for the WAL and the new pages that recovery writes.
SPARE_BYTES = 256 << 20


@dataclass(frozen=True)
class ScratchFolder:
    """The folder of a restored cluster."""

    folder: Path

    @property
    def cluster(self) -> Path:
        """Return the data directory."""
        return self.folder / "cluster"

    @property
    def tablespaces(self) -> Path:
        """Return the folder of the restored tablespaces, with a folder for each."""
        return self.folder / "tablespaces"

    @property
    def socket(self) -> Path:
        """Return the folder of the server's socket; a socket's path is limited to 107 bytes (unix(7))."""
        return (self.folder / "socket").readlink()


@contextlib.contextmanager
def create(job: Job, root: Path, account: Account, *, needed_bytes: int) -> Iterator[ScratchFolder]:
    """Create an empty scratch folder, and remove it at the end.

    Args:
        root: its parent folder.
        account: the owner of the server's files.
        needed_bytes: the size of the restored cluster.

    Raises:
        OperationFailed: it can't be created, or there is too little space.
    """
    _check_root(root, account, needed_bytes)
    scratch = ScratchFolder(root / f"{PREFIX}{job.target.name}-{job.run_id}-{secrets.token_hex(4)}")
    lock = FolderLock(scratch.folder / "lock")
    try:
        try:
            scratch.folder.mkdir(mode=0o711)
            lock.acquire()
            _create_subfolders(scratch, account)
        except OSError as error:
            raise OperationFailed(
                f"{scratch.folder} can't be created: {error.strerror or error}. Nothing was restored. Set "
                "another scratch folder in the target's settings."
            ) from error
        job.log(f"Restoring into {scratch.cluster}.")
        yield scratch
    finally:
        _remove(scratch)
        lock.release()
        job.log(f"Removed {scratch.folder}.")


def clear_up(job: Job, root: Path) -> None:
    """Remove the scratch folders of the target's killed runs, and log their names.

    Raises:
        OperationFailed, EmbeddedError: a folder could not be removed, or its server could not be stopped.
    """
    try:
        for name in sweep(root, job.target.name):
            job.log(f"Removed {name} of a run that was killed.")
    except OSError as error:
        raise OperationFailed(
            f"A scratch folder of a killed run in {root} could not be removed: {error.strerror or error} "
            f"({error.filename}). Nothing was restored. Remove the folders there whose names start with "
            f"{PREFIX}{job.target.name}."
        ) from error


def sweep(root: Path, target: str) -> list[str]:
    """Stop the servers and remove the scratch folders of a target's killed runs.

    Args:
        root: the parent folder.
        target: the target's name.

    Returns:
        The names of the removed folders.

    Raises:
        OSError, EmbeddedError: a folder could not be removed, or its server could not be stopped.
    """
    removed = []
    for folder in sorted(root.glob(f"{PREFIX}{target}-*")):
        if not NAME.fullmatch(folder.name) or folder.is_symlink():
            continue
        lock = FolderLock(folder / "lock")
        try:
            lock.acquire()
        except FolderInUse:
            continue
        try:
            clear_leftovers(folder / "cluster")
            _remove(ScratchFolder(folder))
        finally:
            lock.release()
        removed.append(folder.name)
    return removed


def _check_root(root: Path, account: Account, needed_bytes: int) -> None:
    if not root.is_dir():
        raise OperationFailed(
            f"The scratch folder {root} doesn't exist. Nothing was restored. Create it, or set another one "
            "in the target's settings."
        )
    for folder in (root.resolve(), *root.resolve().parents):
        if (folder / "PG_VERSION").exists():
            raise OperationFailed(
                f"The scratch folder {root} is inside a server's data directory, {folder}. Nothing was "
                "restored. Set another one in the target's settings."
            )
    if not account.can_enter(root):
        raise OperationFailed(
            f"The account {account.name}, which runs pgBackRest, has no access to {root}. Nothing was "
            "restored. Grant it execute permission on that folder and its parents, or set another scratch "
            "folder in the target's settings."
        )
    free = shutil.disk_usage(root).free
    if free < needed_bytes + SPARE_BYTES:
        raise OperationFailed(
            f"The scratch folder {root} has {free:,} bytes free, but the restored cluster needs "
            f"{needed_bytes:,}, and recovery up to {SPARE_BYTES:,} more. Nothing was restored. Free some "
            "space, or set another scratch folder in the target's settings."
        )


def _create_subfolders(scratch: ScratchFolder, account: Account) -> None:
    for folder in (scratch.cluster, scratch.tablespaces):
        folder.mkdir(mode=0o700)
        account.own(folder)
    socket = Path(tempfile.mkdtemp(prefix=SOCKET_PREFIX))
    account.own(socket)
    (scratch.folder / "socket").symlink_to(socket)


def _remove(scratch: ScratchFolder) -> None:
    with contextlib.suppress(OSError):
        # Other accounts may write to the folder, so the link's target is checked before it is removed.
        if scratch.socket.name.startswith(SOCKET_PREFIX) and not scratch.socket.is_symlink():
            shutil.rmtree(scratch.socket, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(scratch.folder)
