"""Hashes of the audit chain, as plain functions: the offline verifier uses them without a database or Django.

    content digest = SHA-256 of the entry's canonical JSON (RFC 8785)
    hash           = SHA-256 of the previous entry's hash (32 bytes), then the content digest (32 bytes)

The content is hashed separately first. An evidence pack can then include just the digests of other
deployments' entries: every hash can be recomputed without revealing their content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import rfc8785

# The previous hash of the first entry.
GENESIS = "0" * 64
# Version of the hashed content; change it if other fields are hashed.
VERSION = 1
# The fields of an entry that its content digest covers, besides the version.
COVERED = (
    "sequence",
    "at",
    "actor",
    "actor_name",
    "action",
    "subject_type",
    "subject_id",
    "subject",
    "deployment",
    "data",
)


def content_digest(entry: Mapping[str, Any]) -> str:
    """Return the digest of an entry's content, in hexadecimal.

    Args:
        entry: the fields in `COVERED`; others, such as the hash, are ignored.

    Raises:
        KeyError: a field is missing.
        rfc8785.CanonicalizationError: a value has no canonical form.
    """
    content = {"version": VERSION} | {name: entry[name] for name in COVERED}
    return hashlib.sha256(rfc8785.dumps(content)).hexdigest()


def link(previous_hash: str, digest: str) -> str:
    """Return an entry's hash, computed from the previous hash and its content digest (all hexadecimal).

    Raises:
        ValueError: one of them is not hexadecimal.
    """
    return hashlib.sha256(bytes.fromhex(previous_hash) + bytes.fromhex(digest)).hexdigest()
