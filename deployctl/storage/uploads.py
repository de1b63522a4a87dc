"""Receive uploaded files and keep them next to a target's backups until a run imports them."""

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

# Hidden, so lists of backups skip it; on the same disk, so publishing is a rename.
FOLDER = ".uploads"
FILE = "file"
UPLOAD_ID = re.compile(r"[0-9a-f]{32}")
# Left free for other programs that write to the disk.
SPARE_BYTES = 64 << 20
NOTHING_SAVED = "Nothing was saved."


class Incoming:
    """An upload that is being received."""

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self.upload_id = folder.name
        self._final = folder / FILE
        self._partial = folder / (FILE + PARTIAL)
        self._max_bytes = max_bytes
        self._file = self._partial.open("xb")
        self.size = 0
        self.kept = False

    def write(self, chunk: bytes) -> None:
        """Append bytes to the file.

        Raises:
            StorageError: the file becomes too large, or the disk is full.
        """
        self.size += len(chunk)
        if self.size > self._max_bytes:
            raise StorageError(_too_large(self._max_bytes))
        with _disk_errors():
            self._file.write(chunk)

    def finish(self) -> str:
        """Flush the complete file to disk.

        Returns:
            The ID of the upload, for `Uploads.file`.
        """
        with _disk_errors():
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._partial.rename(self._final)
            fsync(self._final.parent)
        return self.upload_id

    def keep(self) -> None:
        """Keep the file at the end of the `receive` block, because a run will import it."""
        self.kept = True

    def close(self) -> None:
        """Close the file. Errors are ignored: `write` and `finish` report those that matter."""
        with suppress(OSError):
            self._file.close()


class Uploads:
    """The uploads of one target.

    Args:
        folder: the target's backups.
        max_bytes: size limit of an uploaded file.
        max_unpacked_bytes: size limit of the unpacked content of a file.
    """

    def __init__(self, folder: LocalFolder, *, max_bytes: int, max_unpacked_bytes: int) -> None:
        self.max_bytes, self.max_unpacked_bytes = max_bytes, max_unpacked_bytes
        self._backups = folder
        self._root = folder.root / FOLDER

    @contextmanager
    def receive(self, *, announced: int = 0) -> Iterator[Incoming]:
        """Receive one file and delete it at the end of the block unless `keep` was called.

        Args:
            announced: size in bytes as declared by the sender; 0 if unknown.

        Raises:
            StorageError: the file is too large for the limit or the disk. Nothing was written.
        """
        if announced > self.max_bytes:
            raise StorageError(_too_large(self.max_bytes))
        self.check_free_space(announced)
        folder = self._root / secrets.token_hex(16)
        with _disk_errors():
            self._backups.create()
            self._root.mkdir(mode=0o700, exist_ok=True)
            folder.mkdir(mode=0o700)
            incoming = Incoming(folder, max_bytes=self.max_bytes)
        try:
            yield incoming
        finally:
            incoming.close()
            if not incoming.kept:
                shutil.rmtree(folder, ignore_errors=True)

    def check_free_space(self, size: int) -> None:
        """Raise StorageError if the disk doesn't have room for `size` more bytes."""
        free = self._backups.free_bytes()
        if size + SPARE_BYTES > free:
            raise StorageError(
                f"The backup disk has {free:,} bytes free, too little for {size:,} more. {NOTHING_SAVED} "
                "Free some space, then upload the file again."
            )

    def usable_bytes(self) -> int:
        """Return the number of bytes that may still be written to the disk."""
        return max(0, self._backups.free_bytes() - SPARE_BYTES)

    def file(self, upload_id: str) -> Path:
        """Return the path of a completely received file.

        Raises:
            StorageError: the file doesn't exist, or no longer exists.
        """
        path = self._folder(upload_id) / FILE
        if not path.is_file():
            raise StorageError("The uploaded file no longer exists. Nothing was changed. Upload it again.")
        return path

    @contextmanager
    def unpack_folder(self, upload_id: str, name: str) -> Iterator[Partial]:
        """Create a folder to unpack a file into, and delete the upload at the end of the block.

        Args:
            upload_id: from `Incoming.finish`.
            name: of the backup that `Partial.publish` creates; see `LocalFolder.partial`.

        Raises:
            StorageError: the name is taken, or the folder cannot be written.
        """
        folder = self._folder(upload_id)
        partial = Partial(folder / "unpacked", self._backups.path_for(name))
        try:
            with _disk_errors():
                # A killed worker may have left files of an earlier attempt.
                shutil.rmtree(partial.path, ignore_errors=True)
                partial.path.mkdir(mode=0o700)
            yield partial
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def remove_older(self, than: dt.timedelta) -> tuple[str, ...]:
        """Delete uploads to which nothing was written for this long.

        Returns:
            The IDs of the deleted uploads.
        """
        if not self._root.is_dir():
            return ()
        cutoff = time.time() - than.total_seconds()
        removed = []
        for folder in self._root.iterdir():
            if all(_modified_before(path, cutoff) for path in (folder, *folder.rglob("*"))):
                shutil.rmtree(folder, ignore_errors=True)
                removed.append(folder.name)
        return tuple(removed)

    def _folder(self, upload_id: str) -> Path:
        if not UPLOAD_ID.fullmatch(upload_id):
            raise StorageError("That isn't a valid upload ID. Nothing was changed. Upload the file first.")
        return self._root / upload_id


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageError(
                f"The backup disk is full. {NOTHING_SAVED} Free some space, then upload the file again."
            ) from error
        raise StorageError(
            f"The upload could not be written to the backup disk: {error.strerror or error}. {NOTHING_SAVED}"
        ) from error


def _modified_before(path: Path, cutoff: float) -> bool:
    try:
        return path.lstat().st_mtime < cutoff
    except FileNotFoundError:  # another process is working with it
        return False


def _too_large(max_bytes: int) -> str:
    return (
        f"The file is larger than the upload limit of {max_bytes / 1024**2:,.0f} MB. {NOTHING_SAVED} "
        "An administrator can raise DEPLOYCTL_UPLOAD_MB."
    )
