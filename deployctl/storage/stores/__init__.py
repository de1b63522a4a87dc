"""Stores on other machines that hold copies of backups: one per file of this package."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO, ClassVar, Self
from urllib.parse import SplitResult

CHUNK_BYTES = 1 << 20


class UnusableAddress(Exception):
    """The reason why an address cannot be used, as the end of a sentence."""


class Store(abc.ABC):
    """Holds objects by key. A key is a path with forward slashes, such as `shop/shop-1/manifest.json`.

    Every method raises `StorageError` with a sentence when the store does not do what it was asked.
    """

    scheme: ClassVar[str]
    # The beginning of an address, for people.
    prefix: ClassVar[str]
    # The names of the options of an address, besides `name` and `recipient`.
    options: ClassVar[frozenset[str]] = frozenset()

    name: str
    address: str  # for people; no credentials in it
    # An age or SSH public key; "" where copies are stored as they are.
    recipient: str

    @classmethod
    @abc.abstractmethod
    def open(cls, address: SplitResult, options: Mapping[str, str], resolve: Callable[[str], str]) -> Self:
        """Return the store at an address, without connecting to it.

        Args:
            address: split; its scheme is `scheme`.
            options: the address's query.
            resolve: returns the secret to which a reference refers.

        Raises:
            UnusableAddress: the address lacks something or contradicts itself.
        """

    @abc.abstractmethod
    def put(self, key: str, source: BinaryIO, advance: Callable[[int], None]) -> None:
        """Write an object in place of an earlier one; it is there whole and lasting, or not at all.

        Args:
            source: read from where it stands to its end.
            advance: told the bytes written since it was told last, perhaps from another thread; what it
                raises stops the writing and passes on.
        """

    @abc.abstractmethod
    def read(self, key: str) -> Iterator[bytes]:
        """An object's content in pieces."""

    @abc.abstractmethod
    def sizes(self, prefix: str) -> dict[str, int]:
        """Every key that begins with a prefix, with its size in bytes."""
