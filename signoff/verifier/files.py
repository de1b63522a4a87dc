"""Verify a file of any kind that deployctl exports."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from signoff.verifier import audit_export, pack, period
from signoff.verifier.findings import Finding


def verify(path: Path, trusted: Collection[str] = ()) -> Finding:
    """Detect the kind of a file, and verify it.

    Args:
        path: the file.
        trusted: public keys or fingerprints in hexadecimal; see `pack.verify`.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as stream:
        beginning = stream.read(4)
        stream.seek(0)
        if beginning.startswith(b"PK"):
            return period.verify(path, trusted)
        first = stream.readline()
        # An audit entry, or the closing line of an export without entries.
        if first.startswith((b'{"action":', b'{"entries":')):
            stream.seek(0)
            return audit_export.verify(stream, trusted)
        return pack.verify(first + stream.read(), trusted)
