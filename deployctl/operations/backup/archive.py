"""Stream a backup as one tar file in constant memory."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deployctl.operations.backup import manifest
from deployctl.operations.backup.manifest import Damaged, Manifest

CHUNK_BYTES = 1 << 20
# The files contain personal data, so only the user who unpacks them can read them.
MODE = 0o600
END = b"\0" * (2 * tarfile.BLOCKSIZE)


@dataclass(frozen=True)
class Archive:
    """A backup to download: `NAME.tar` with a folder NAME that ends with the manifest's files.

    Every file is compared with the manifest while it is read. A damaged file truncates the tar, so that the
    download fails visibly.
    """

    name: str
    folder: Path
    written: Manifest

    @property
    def file_name(self) -> str:
        """Return the name of the tar file."""
        return f"{self.name}.tar"

    @property
    def size(self) -> int:
        """Return the size of the tar in bytes."""
        return sum(len(header) + size + _padding(size) for header, size in self._members()) + len(END)

    def chunks(self) -> Iterator[bytes]:
        """Yield the tar in chunks of at most a megabyte.

        Raises:
            Damaged: a file differs from the manifest; the chunks before are correct.
        """
        digests = {file.path: file.sha256 for file in self.written.files}
        for path, (header, size) in zip(self._paths(), self._members(), strict=True):
            yield header
            yield from self._content(path, size, digests.get(path))
            if padding := _padding(size):
                yield b"\0" * padding
        yield END

    def _content(self, path: str, size: int, expected: str | None) -> Iterator[bytes]:
        """Yield a file; its last chunk is held back until the digest of the whole file is verified."""
        digest, left, held = hashlib.sha256(), size, b""
        try:
            with os.fdopen(os.open(self.folder / path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
                while left and (chunk := file.read(min(CHUNK_BYTES, left))):
                    digest.update(chunk)
                    left -= len(chunk)
                    if held:
                        yield held
                    held = chunk
        except OSError as error:
            raise Damaged(path, f"{path} of {self.name} can't be read: {error.strerror}.") from error
        if left or (expected is not None and digest.hexdigest() != expected):
            raise Damaged(path, f"{path} of {self.name} was changed after the backup was written.")
        if held:
            yield held

    def _paths(self) -> list[str]:
        return [file.path for file in self.written.files] + [manifest.NAME, manifest.SUM_NAME]

    def _members(self) -> Iterator[tuple[bytes, int]]:
        """Yield the header and the size of each file."""
        sizes = {file.path: file.size for file in self.written.files}
        for path in self._paths():
            size = sizes.get(path)
            size = (self.folder / path).stat().st_size if size is None else size
            member = tarfile.TarInfo(f"{self.name}/{path}")
            member.size, member.mode = size, MODE
            member.mtime = int(self.written.snapshot_at.timestamp())
            yield member.tobuf(format=tarfile.GNU_FORMAT), size


def open_backup(name: str, folder: Path, *, expected_sha256: str) -> Archive:
    """Open a backup for download after comparing its files' sizes with the manifest.

    Args:
        name: the backup's name.
        folder: the backup's folder.
        expected_sha256: the SHA-256 of its manifest, as recorded when it was made.

    Raises:
        Damaged: the manifest was replaced, or a file is missing, unexpected or of another size.
    """
    written = manifest.read(folder, expected_sha256=expected_sha256)
    sizes = {path: (folder / path).lstat().st_size for path in manifest.paths_of(folder)}
    expected = {file.path: file.size for file in written.files}
    for path in sorted(sizes.keys() | expected.keys()):
        if sizes.get(path) != expected.get(path):
            raise Damaged(path, f"{path} of {name} is missing, unexpected or of another size.")
    return Archive(name, folder, written)


def _padding(size: int) -> int:
    return -size % tarfile.BLOCKSIZE
