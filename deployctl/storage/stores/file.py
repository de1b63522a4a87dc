"""Copies in a folder: a mounted share or a second disk."""

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
        root: must exist; it is never made, because a missing one is a disk that is not mounted.
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
        """Return the store; its name is that of the folder unless another is given."""
        path = Path(unquote(address.path))
        if address.netloc or not path.name:
            raise UnusableAddress("after file:// comes an absolute path, such as file:///mnt/offsite")
        return cls(options.get("name") or path.name, path, options.get("recipient", ""))

    def put(self, key: str, source: BinaryIO, advance: Callable[[int], None]) -> None:
        """Write to `<name>.partial`, fsync, rename, fsync the folder."""
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
        """Read the file, from the medium where the system lets us ask for that."""
        with self._errors(), self._path(key).open("rb", buffering=0) as file:
            if hasattr(os, "posix_fadvise"):  # not on macOS
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def sizes(self, prefix: str) -> dict[str, int]:
        """Every file below a folder."""
        with self._errors():
            files = (path for path in self._path(prefix).rglob("*") if path.is_file())
            return {path.relative_to(self._root).as_posix(): path.stat().st_size for path in files}

    def _path(self, key: str) -> Path:
        if not self._root.is_dir():
            raise StorageError(f"The offsite folder {self._root} is not there. Is its disk mounted?")
        if any(part in {"", ".", ".."} for part in key.rstrip("/").split("/")):
            raise StorageError(f"{key!r} cannot be stored.")
        return self._root / key

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"The offsite folder {self._root} did not do what it was asked: {error.strerror}. What was "
                "to be copied is untouched."
            ) from error
