"""Files that people send in, beside the backups of a target, until somebody has looked at what they are."""

from __future__ import annotations

import datetime as dt
import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deployctl.storage.local import PARTIAL, LocalFolder, Partial, StorageError, fsync

# Hidden, so that no list of backups shows it; on the same disk, so that publishing is a renaming.
FOLDER = ".uploads"
FILE = "file"
NUMBER = re.compile(r"[0-9a-f]{32}")
# Left free for everybody else who writes there.
SPARE_BYTES = 64 << 20
NOTHING_KEPT = "Nothing was kept."


class Incoming:
    """A file that is being received."""

    def __init__(self, folder: Path, *, at_most: int) -> None:
        self.number = folder.name
        self._final = folder / FILE
        self._partial = folder / (FILE + PARTIAL)
        self._at_most = at_most
        self._file = self._partial.open("xb")
        self.size = 0
        self.kept = False

    def write(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            StorageError: there are too many, or the disk is full.
        """
        self.size += len(chunk)
        if self.size > self._at_most:
            raise StorageError(_too_large(self._at_most))
        with _disk_errors():
            self._file.write(chunk)

    def finish(self) -> str:
        """Everything was received: have it written to the medium.

        Returns:
            The number by which `Uploads.file` finds it.
        """
        with _disk_errors():
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._partial.rename(self._final)
            fsync(self._final.parent)
        return self.number

    def keep(self) -> None:
        """Somebody will take it in: leave it where it is."""
        self.kept = True

    def close(self) -> None:
        """Let go of the file. What cannot be written any more was told by `write` or `finish`."""
        with suppress(OSError):
            self._file.close()


class Uploads:
    """What was sent in for one target.

    Args:
        folder: its backups.
        at_most: bytes of one file.
        unpacked_at_most: bytes of what a file holds.
    """

    def __init__(self, folder: LocalFolder, *, at_most: int, unpacked_at_most: int) -> None:
        self.at_most, self.unpacked_at_most = at_most, unpacked_at_most
        self._backups = folder
        self._root = folder.root / FOLDER

    @contextmanager
    def receive(self, *, announced: int = 0) -> Iterator[Incoming]:
        """Receive one file; whoever leaves without `keep` leaves nothing.

        Args:
            announced: bytes to come, where the sender says so.

        Raises:
            StorageError: it is too large, or there is no room for it; nothing was written.
        """
        if announced > self.at_most:
            raise StorageError(_too_large(self.at_most))
        self.refuse_without_room(announced)
        folder = self._root / secrets.token_hex(16)
        with _disk_errors():
            self._backups.make()
            self._root.mkdir(mode=0o700, exist_ok=True)
            folder.mkdir(mode=0o700)
            incoming = Incoming(folder, at_most=self.at_most)
        try:
            yield incoming
        finally:
            incoming.close()
            if not incoming.kept:
                shutil.rmtree(folder, ignore_errors=True)

    def refuse_without_room(self, size: int) -> None:
        """Raise StorageError where so many bytes more would fill the disk."""
        free = self._backups.free_bytes()
        if size + SPARE_BYTES > free:
            raise StorageError(
                f"The disk of the backups has {free:,} bytes free, which is too little for {size:,} more. "
                f"{NOTHING_KEPT} Free some space, then send it again."
            )

    def room(self) -> int:
        """Bytes that may be written so that some are left for everybody else."""
        return max(0, self._backups.free_bytes() - SPARE_BYTES)

    def file(self, number: str) -> Path:
        """A file that was received whole.

        Raises:
            StorageError: there is none (any more).
        """
        path = self._folder(number) / FILE
        if not path.is_file():
            raise StorageError(
                "The file that was sent in is not there any more. Nothing was done. Send it again."
            )
        return path

    @contextmanager
    def unpacking(self, number: str, name: str) -> Iterator[Partial]:
        """A folder to unpack a file into, which `publish` turns into the backup of a name.

        Args:
            number: of the upload. All of it is removed at the end, however that comes.
            name: see `LocalFolder.partial`.

        Raises:
            StorageError: the name is taken, or the folder cannot be written.
        """
        folder = self._folder(number)
        partial = Partial(folder / "unpacked", self._backups.place(name))
        try:
            with _disk_errors():
                # What a worker that was killed has left of an earlier attempt.
                shutil.rmtree(partial.path, ignore_errors=True)
                partial.path.mkdir(mode=0o700)
            yield partial
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def remove_older(self, than: dt.timedelta) -> tuple[str, ...]:
        """Remove what nobody took in and nothing was written to for this long.

        Returns:
            The numbers that were removed.
        """
        if not self._root.is_dir():
            return ()
        limit = time.time() - than.total_seconds()
        removed = []
        for folder in self._root.iterdir():
            if all(_changed_before(path, limit) for path in (folder, *folder.rglob("*"))):
                shutil.rmtree(folder, ignore_errors=True)
                removed.append(folder.name)
        return tuple(removed)

    def _folder(self, number: str) -> Path:
        if not NUMBER.fullmatch(number):
            raise StorageError("That is no upload. Nothing was done. Send the file in first.")
        return self._root / number


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageError(
                f"The disk of the backups is full. {NOTHING_KEPT} Free some space, then send it again."
            ) from error
        raise StorageError(
            f"The file could not be written beside the backups: {error.strerror or error}. {NOTHING_KEPT}"
        ) from error


def _changed_before(path: Path, limit: float) -> bool:
    try:
        return path.lstat().st_mtime < limit
    except FileNotFoundError:  # somebody works with it right now
        return False


def _too_large(at_most: int) -> str:
    return (
        f"The file is larger than the {at_most / 1024**2:,.0f} MB that an upload may have. {NOTHING_KEPT} "
        "Whoever runs deployctl can raise DEPLOYCTL_UPLOAD_MB."
    )
