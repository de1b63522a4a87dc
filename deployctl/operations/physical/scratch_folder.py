"""A place for a restored cluster: made for a test, removed afterwards, and found again should we be killed.

It is ours by its name, and in use as long as somebody holds the lock inside, which the kernel frees with the
process that holds it.
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
# What recovery writes beside the restored files: WAL, and pages that grow.
SPARE_BYTES = 256 << 20


@dataclass(frozen=True)
class ScratchFolder:
    """Where a restored cluster and what belongs to it lie."""

    folder: Path

    @property
    def cluster(self) -> Path:
        """The data directory."""
        return self.folder / "cluster"

    @property
    def tablespaces(self) -> Path:
        """Where the cluster's tablespaces are restored, each in a folder of its own."""
        return self.folder / "tablespaces"

    @property
    def socket(self) -> Path:
        """A folder for the server's socket, with a path short enough (107 bytes is the most)."""
        return (self.folder / "socket").readlink()


@contextlib.contextmanager
def create(job: Job, root: Path, account: Account, *, needed_bytes: int) -> Iterator[ScratchFolder]:
    """A new, empty place; removed at the end, whatever happens.

    Args:
        root: the folder to make it in.
        account: owns what the restored server writes to.
        needed_bytes: that the restored cluster takes.

    Raises:
        OperationFailed: it cannot be made there, or there is too little room.
    """
    _refuse_unfit(root, account, needed_bytes)
    made = ScratchFolder(root / f"{PREFIX}{job.target.name}-{job.run_id}-{secrets.token_hex(4)}")
    lock = FolderLock(made.folder / "lock")
    try:
        try:
            made.folder.mkdir(mode=0o711)
            lock.acquire()
            _furnish(made, account)
        except OSError as error:
            raise OperationFailed(
                f"{made.folder} cannot be made: {error.strerror or error}. Nothing was restored. Name "
                "another scratch folder in the target's settings."
            ) from error
        job.log(f"Restoring into {made.cluster}.")
        yield made
    finally:
        _remove(made)
        lock.release()
        job.log(f"{made.folder} was removed.")


def clear_up(job: Job, root: Path) -> None:
    """Remove what killed runs of the target left, before another place is made.

    Raises:
        OperationFailed, EmbeddedError: something could not be removed, or a server does not end.
    """
    try:
        for name in sweep(root, job.target.name):
            job.log(f"{name}, left by a run that was killed, was removed.")
    except OSError as error:
        raise OperationFailed(
            f"What a run that was killed left in {root} could not be removed: {error.strerror or error} "
            f"({error.filename}). Nothing was restored. Remove what begins with {PREFIX}{job.target.name}."
        ) from error


def sweep(root: Path, target: str) -> list[str]:
    """Remove the places of a target that killed runs left, ending servers that still run in them.

    Args:
        root: the folder to look in.
        target: its name.

    Returns:
        The names of what was removed.

    Raises:
        OSError, EmbeddedError: something could not be removed, or a server does not end.
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


def _refuse_unfit(root: Path, account: Account, needed_bytes: int) -> None:
    if not root.is_dir():
        raise OperationFailed(
            f"The scratch folder {root} does not exist. Nothing was restored. Make it, or name another one "
            "in the target's settings."
        )
    for folder in (root.resolve(), *root.resolve().parents):
        if (folder / "PG_VERSION").exists():
            raise OperationFailed(
                f"The scratch folder {root} lies in {folder}, which is a server's data directory. Nothing "
                "was restored. Name another one in the target's settings."
            )
    if not account.can_enter(root):
        raise OperationFailed(
            f"The account {account.name}, which runs pgBackRest, cannot enter {root}. Nothing was restored. "
            "Let it pass through that folder and those above it, or name another scratch folder in the "
            "target's settings."
        )
    free = shutil.disk_usage(root).free
    if free < needed_bytes + SPARE_BYTES:
        raise OperationFailed(
            f"The scratch folder {root} has {free:,} bytes free; the restored cluster takes "
            f"{needed_bytes:,}, and recovery up to {SPARE_BYTES:,} more. Nothing was restored. Free some "
            "space, or name another folder."
        )


def _furnish(made: ScratchFolder, account: Account) -> None:
    for folder in (made.cluster, made.tablespaces):
        folder.mkdir(mode=0o700)
        account.own(folder)
    socket = Path(tempfile.mkdtemp(prefix=SOCKET_PREFIX))
    account.own(socket)
    (made.folder / "socket").symlink_to(socket)


def _remove(made: ScratchFolder) -> None:
    with contextlib.suppress(OSError):
        # Looked at before it is followed: what lies in a folder that others may write to is no order.
        if made.socket.name.startswith(SOCKET_PREFIX) and not made.socket.is_symlink():
            shutil.rmtree(made.socket, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(made.folder)
