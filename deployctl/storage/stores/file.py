"""Store copies in a folder, such as a mounted share or a second disk."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, ClassVar, Self
from urllib.parse import SplitResult, unquote

from deployctl.storage.local import PARTIAL, StorageError, fsync
from deployctl.storage.stores import CHUNK_BYTES, Store, UnusableAddress


class FolderStore(Store):
    """A folder, at `file:///PATH`.

    Args:
        name: of the store.
        root: must exist. It is never created: if it is missing, its disk is not mounted.
        recipient: see `Store`.
    """

    scheme: ClassVar[str] = "file"
    prefix: ClassVar[str] = "file:///"

    def __init__(self, name: str, root: Path, recipient: str = "") -> None:
        self.name, self.recipient = name, recipient
        self.address = str(root)
        self._root = root

    @classmethod
    def open(cls, address: SplitResult, options: Mapping[str, str], resolve: Callable[[str], str]) -> Self:  # noqa: ARG003
        """Return the store. Its default name is that of the folder."""
        path = Path(unquote(address.path))
        if address.netloc or not path.name:
            raise UnusableAddress("file:// must be followed by an absolute path, such as file:///mnt/offsite")
        return cls(options.get("name") or path.name, path, options.get("recipient", ""))

    def put(self, key: str, source: BinaryIO, advance: Callable[[int], None]) -> None:
        """Write to `<name>.partial`, fsync and rename it, and fsync the folder."""
        with self._errors():
            final = self._path(key)
            final.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial = final.with_name(final.name + PARTIAL)
            with partial.open("wb") as file:
                while chunk := source.read(CHUNK_BYTES):
                    file.write(chunk)
                    advance(len(chunk))
                file.flush()
                os.fsync(file.fileno())
            partial.rename(final)
            fsync(final.parent)

    def read(self, key: str) -> Iterator[bytes]:
        """Read the file from disk, bypassing the page cache on platforms that support this."""
        with self._errors(), self._path(key).open("rb", buffering=0) as file:
            if hasattr(os, "posix_fadvise"):  # not on macOS
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return the size of every file below a folder."""
        with self._errors():
            files = (path for path in self._path(prefix).rglob("*") if path.is_file())
            return {path.relative_to(self._root).as_posix(): path.stat().st_size for path in files}

    def _path(self, key: str) -> Path:
        if not self._root.is_dir():
            raise StorageError(
                f"The offsite folder {self._root} doesn't exist. Check that its disk is mounted."
            )
        if any(part in {"", ".", ".."} for part in key.rstrip("/").split("/")):
            raise StorageError(f"{key!r} isn't a valid key.")
        return self._root / key

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"The offsite folder {self._root} failed: {error.strerror}. The local backup is unchanged."
            ) from error
