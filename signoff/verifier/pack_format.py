"""The exact form of a pack. No Django: the offline verifier uses it.

A pack is one line of canonical JSON (RFC 8785) and a line feed:

    {"contents": {...}, "seal": {"parts": {...}, "public_key": ..., "schema": ..., "signature": ...}}

`parts` holds the SHA-256 of every part of the contents by its place (a JSON pointer, RFC 6901): each element
of a list and each member of an object on the second level. Together they are all of the contents, so whatever
changes is named by the part that it is in; and the Ed25519 signature covers all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deployctl.audit import signed_statements

SCHEMA = "deployctl.pack/1"
PERIOD_SCHEMA = "deployctl.period/1"

Json = dict[str, Any]


class Streamed:
    """An array whose elements are made while it is written, for what does not fit into memory comfortably.

    Args:
        elements: yields plain JSON values, once.
    """

    def __init__(self, elements: Iterator[Any]) -> None:
        self.elements = elements


def write(
    contents: Mapping[str, Any], key: Ed25519PrivateKey, stream: BinaryIO, *, schema: str = SCHEMA
) -> str:
    """Write a pack.

    Args:
        contents: objects, lists or scalars by name; a member of an object may be `Streamed`.
        key: signs it.
        stream: written to from where it stands.
        schema: what kind of pack it is.

    Returns:
        SHA-256 of all that was written, in hexadecimal: the pack's digest, as `sha256sum` prints it.
    """
    out = _Hashing(stream)
    parts: dict[str, str] = {}
    out.write(b'{"contents":{')
    for number, name in enumerate(sorted(contents)):
        out.write(_comma(number) + rfc8785.dumps(name) + b":")
        parts.update(_write_member(out, f"/contents/{pointer(name)}", contents[name]))
    out.write(b'},"seal":')
    out.write(rfc8785.dumps(signed_statements.sign({"schema": schema, "parts": parts}, key)))
    out.write(b"}\n")
    return out.digest.hexdigest()


def canonical(pack: Any) -> bytes:
    """The bytes that a pack with this content has.

    Raises:
        ValueError: it has no canonical form, such as half of a surrogate pair.
    """
    return bytes(rfc8785.dumps(pack)) + b"\n"


def parts_of(contents: Mapping[str, Any]) -> dict[str, Any]:
    """Every part of the contents by its place; together they are all of it."""
    found: dict[str, Any] = {}
    for name, value in contents.items():
        place = f"/contents/{pointer(name)}"
        if isinstance(value, dict) and value:
            found |= {f"{place}/{pointer(inner)}": one for inner, one in value.items()}
        elif isinstance(value, list) and value:
            found |= {f"{place}/{number}": one for number, one in enumerate(value)}
        else:
            found[place] = value
    return found


def digest(value: Any) -> str:
    """SHA-256 of a value's canonical bytes, in hexadecimal."""
    return hashlib.sha256(rfc8785.dumps(value)).hexdigest()


def pointer(name: str) -> str:
    """One step of a JSON pointer (RFC 6901, 3)."""
    return name.replace("~", "~0").replace("/", "~1")


class _Hashing:
    """A stream that keeps the digest of all that went through."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self.digest.update(data)
        self._stream.write(data)


def _comma(number: int) -> bytes:
    return b"," if number else b""


def _write_member(out: _Hashing, place: str, value: Any) -> Iterator[tuple[str, str]]:
    """Write one member of the contents; yields the place and the digest of each part of it."""
    if isinstance(value, Mapping) and value:
        out.write(b"{")
        # Our own names are ASCII, where the order of bytes is the order that RFC 8785 (3.2.3) asks for.
        for number, name in enumerate(sorted(value)):
            out.write(_comma(number) + rfc8785.dumps(name) + b":")
            yield f"{place}/{pointer(name)}", _write_value(out, value[name])
        out.write(b"}")
    elif isinstance(value, list) and value:
        out.write(b"[")
        for number, one in enumerate(value):
            out.write(_comma(number))
            yield f"{place}/{number}", _write_value(out, one)
        out.write(b"]")
    else:
        yield place, _write_value(out, value)


def _write_value(out: _Hashing, value: Any) -> str:
    digest = hashlib.sha256()

    def both(data: bytes) -> None:
        digest.update(data)
        out.write(data)

    if isinstance(value, Streamed):
        both(b"[")
        for number, element in enumerate(value.elements):
            both(_comma(number) + rfc8785.dumps(element))
        both(b"]")
    else:
        both(rfc8785.dumps(value))
    return digest.hexdigest()
