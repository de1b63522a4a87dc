"""Places on other machines that hold copies of backups."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

CHUNK_BYTES = 1 << 20


class Store(Protocol):
    """Holds objects by key. A key is a path with forward slashes, such as `shop/shop-1/manifest.json`.

    Every method raises `StorageError` with a sentence when the store does not do what it was asked.
    """

    name: str
    address: str  # for people; no credentials in it
    # An age or SSH public key; "" where copies are stored as they are.
    recipient: str

    def put(self, key: str, source: BinaryIO, advance: Callable[[int], None]) -> None:
        """Write an object in place of an earlier one; it is there whole and lasting, or not at all.

        Args:
            source: read from where it stands to its end.
            advance: told the bytes written since it was told last, perhaps from another thread; what it
                raises stops the writing and passes on.
        """

    def read(self, key: str) -> Iterator[bytes]:
        """An object's content in pieces."""

    def sizes(self, prefix: str) -> dict[str, int]:
        """Every key that begins with a prefix, with its size in bytes."""
