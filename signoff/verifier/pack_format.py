"""The exact file format of a pack. This module does not need Django, because the verifier uses it.

A pack is one line of canonical JSON (RFC 8785) and a line feed:

    {"contents": {...}, "seal": {"parts": {...}, "public_key": ..., "schema": ..., "signature": ...}}

`parts` maps the JSON pointer (RFC 6901) of each part of the contents to its SHA-256. The parts are the
elements of lists and the members of objects on the second level. Together they are the whole contents, so
every change can be located in a part. The Ed25519 signature covers all digests.
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
    """An array whose elements are generated while it is written, because it may not fit into memory.

    Args:
        elements: yields plain JSON values.
    """

    def __init__(self, elements: Iterator[Any]) -> None:
        self.elements = elements


def write(
    contents: Mapping[str, Any], key: Ed25519PrivateKey, stream: BinaryIO, *, schema: str = SCHEMA
) -> str:
    """Write a pack.

    Args:
        contents: objects, lists or scalars by name; a member of an object may be `Streamed`.
        key: the private key that signs the pack.
        stream: the output, written from its current position.
        schema: the name and version of the format.

    Returns:
        The SHA-256 of all written bytes in hexadecimal: the pack's digest.
    """
    out = _HashingStream(stream)
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
    """Return the bytes of a pack with this content.

    Raises:
        ValueError: the content cannot be written as canonical JSON, such as an unpaired surrogate.
    """
    return bytes(rfc8785.dumps(pack)) + b"\n"


def parts_of(contents: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of the contents by JSON pointer; together they are the whole contents."""
    found: dict[str, Any] = {}
    for name, value in contents.items():
        path = f"/contents/{pointer(name)}"
        if isinstance(value, dict) and value:
            found |= {f"{path}/{pointer(inner)}": one for inner, one in value.items()}
        elif isinstance(value, list) and value:
            found |= {f"{path}/{number}": one for number, one in enumerate(value)}
        else:
            found[path] = value
    return found


def digest(value: Any) -> str:
    """Return the SHA-256 of a value's canonical bytes in hexadecimal."""
    return hashlib.sha256(rfc8785.dumps(value)).hexdigest()


def pointer(name: str) -> str:
    """Return a name as an escaped step of a JSON pointer (RFC 6901, 3)."""
    return name.replace("~", "~0").replace("/", "~1")


class _HashingStream:
    """A writable stream that hashes what is written."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self.digest.update(data)
        self._stream.write(data)


def _comma(number: int) -> bytes:
    return b"," if number else b""


def _write_member(out: _HashingStream, path: str, value: Any) -> Iterator[tuple[str, str]]:
    """Write one member of the contents; yield the JSON pointer and the digest of each part."""
    if isinstance(value, Mapping) and value:
        out.write(b"{")
        # These names are ASCII, so that sorting them gives the order of RFC 8785 (3.2.3).
        for number, name in enumerate(sorted(value)):
            out.write(_comma(number) + rfc8785.dumps(name) + b":")
            yield f"{path}/{pointer(name)}", _write_value(out, value[name])
        out.write(b"}")
    elif isinstance(value, list) and value:
        out.write(b"[")
        for number, one in enumerate(value):
            out.write(_comma(number))
            yield f"{path}/{number}", _write_value(out, one)
        out.write(b"]")
    else:
        yield path, _write_value(out, value)


def _write_value(out: _HashingStream, value: Any) -> str:
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
