"""Offsite stores for copies of backups, one per module."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO, ClassVar, Self
from urllib.parse import SplitResult

CHUNK_BYTES = 1 << 20


class UnusableAddress(Exception):
    """An address is invalid. The message is the end of a sentence."""


class Store(abc.ABC):
    """A store of objects by key. A key is a path with forward slashes, such as `shop/shop-1/manifest.json`.

    Every method raises `StorageError` if the store fails or refuses the request.
    """

    scheme: ClassVar[str]
    # How addresses begin, for error messages.
    prefix: ClassVar[str]
    # The options that an address accepts besides `name` and `recipient`.
    options: ClassVar[frozenset[str]] = frozenset()

    name: str
    address: str  # for display, without credentials
    # An age or SSH public key; "" if copies are not encrypted.
    recipient: str

    @classmethod
    @abc.abstractmethod
    def open(cls, address: SplitResult, options: Mapping[str, str], resolve: Callable[[str], str]) -> Self:
        """Return the store at an address, without connecting to it.

        Args:
            address: the parsed address; its scheme is `scheme`.
            options: the query of the address.
            resolve: returns the secret that a reference names.

        Raises:
            UnusableAddress: the address is incomplete or contradictory.
        """

    @abc.abstractmethod
    def put(self, key: str, source: BinaryIO, advance: Callable[[int], None]) -> None:
        """Write an object durably and atomically, replacing an existing one.

        Args:
            source: read from its current position to the end.
            advance: called with the number of bytes written since its last call, possibly from another
                thread. An exception from it stops the write and is passed on.
        """

    @abc.abstractmethod
    def read(self, key: str) -> Iterator[bytes]:
        """Yield the content of an object in chunks."""

    @abc.abstractmethod
    def sizes(self, prefix: str) -> dict[str, int]:
        """Return the size in bytes of every object whose key begins with a prefix."""
