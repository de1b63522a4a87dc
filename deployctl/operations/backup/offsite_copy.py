"""Copy a backup to an offsite store, and read the copy back."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from deployctl.operations.backup import manifest
from deployctl.operations.framework.base import CopyResult, OperationFailed
from deployctl.storage import age
from deployctl.storage.stores import Store

# The list of the other objects with their SHA-256 as stored: `sha256sum -c copy.sha256` checks a copy without
# deployctl and the decryption key. It is written last, so a copy without it is incomplete.
LIST_NAME = "copy.sha256"


@dataclass(frozen=True)
class StoredObject:
    """A stored object of a copy."""

    name: str
    size: int
    sha256: str


class OffsiteCopy:
    """The copy of a backup to a store.

    Args:
        store: the destination.
        folder: the backup's folder, already checked against its manifest.
        key: the prefix of its objects, such as `shop/shop-1`.
        expected: the checked manifest.
    """

    def __init__(self, store: Store, folder: Path, key: str, *, expected: manifest.Manifest) -> None:
        self._store, self._folder, self._key = store, folder, key
        self._digests = {file.path: file.sha256 for file in expected.files}
        self._objects: list[StoredObject] = []
        self._list = b""
        self._written_at = dt.datetime.now(dt.UTC)

    def write(self, advance: Callable[[int], None]) -> None:
        """Write every file, then the manifest, then the list.

        Args:
            advance: called with the bytes written since the last call; it may raise to stop the copy.
        """
        for path in (*self._digests, manifest.NAME, manifest.SUM_NAME):
            with self._content(path) as (name, content, size, digest):
                self._store.put(f"{self._key}/{name}", content, advance)
            self._objects.append(StoredObject(name, size, digest))
        self._list = "".join(f"{stored.sha256}  {stored.name}\n" for stored in self._objects).encode()
        self._store.put(f"{self._key}/{LIST_NAME}", io.BytesIO(self._list), lambda _bytes: None)
        self._written_at = dt.datetime.now(dt.UTC)

    def read_back(self, advance: Callable[[int], None]) -> CopyResult:
        """Read every byte from the store and compare it with the backup.

        Args:
            advance: as for `write`, with the bytes read.

        Raises:
            OperationFailed: an object is missing, unexpected or different.
        """
        listed = StoredObject(LIST_NAME, len(self._list), hashlib.sha256(self._list).hexdigest())
        expected = {f"{self._key}/{stored.name}": stored for stored in (*self._objects, listed)}
        found = self._store.sizes(f"{self._key}/")
        for key in sorted(expected.keys() ^ found.keys()):
            self._fail(key, "is missing" if key in expected else "is unexpected: remove it")
        for key, stored in expected.items():
            if found[key] != stored.size:
                self._fail(key, f"has {found[key]} bytes instead of {stored.size}")
            digest = hashlib.sha256()
            for chunk in self._store.read(key):
                digest.update(chunk)
                advance(len(chunk))
            if digest.hexdigest() != stored.sha256:
                self._fail(key, "was read back differently than it was written")
        size = sum(stored.size for stored in expected.values())
        return CopyResult(self._key, listed.sha256, size, self._written_at)

    @contextmanager
    def _content(self, path: str) -> Iterator[tuple[str, BinaryIO, int, str]]:
        """Yield the name, content, size and digest of an object to store."""
        source_path = self._folder / path
        with source_path.open("rb") as source:
            if not self._store.recipient:
                digest = self._digests.get(path) or manifest.sha256_of(source_path)
                yield path, source, source_path.stat().st_size, digest
                return
            # The file has no name, so nothing is left if the worker is killed.
            with tempfile.TemporaryFile(dir=self._folder.parent) as encrypted:
                hashing = _Hashing(cast("BinaryIO", encrypted))
                age.encrypt(source, cast("BinaryIO", hashing), self._store.recipient)
                size = encrypted.tell()
                encrypted.seek(0)
                yield path + age.SUFFIX, cast("BinaryIO", encrypted), size, hashing.digest.hexdigest()

    def _fail(self, key: str, problem: str) -> None:
        raise OperationFailed(
            f"{key} in {self._store.address} {problem}. The copy is not recorded; the backup is untouched. "
            "Copy it again."
        )


class _Hashing:
    """A file that also computes the digest of what is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, data: Any) -> int:
        self.digest.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()
