"""How entries are linked, as plain functions: the offline verifier uses them without a database or Django.

    content digest = SHA-256 of the entry's canonical JSON (RFC 8785)
    hash           = SHA-256 of the previous entry's hash (32 bytes), then the content digest (32 bytes)

The content is hashed by itself first, so that an evidence pack can carry the chain across the entries of
other deployments by their digests alone: every hash can be recomputed, and nothing is told of what they say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import rfc8785

# What the first entry follows.
GENESIS = "0" * 64
# The names of what is hashed; a chain that hashes something else gets another number.
VERSION = 1
# The members of an entry that its content digest covers, besides the version.
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


def content_digest(said: Mapping[str, Any]) -> str:
    """The digest of everything that an entry says, in hexadecimal.

    Args:
        said: the members that `COVERED` names; others, such as the hash, are left out.

    Raises:
        KeyError: a member is missing.
        rfc8785.CanonicalizationError: a value has no canonical form.
    """
    content = {"version": VERSION} | {name: said[name] for name in COVERED}
    return hashlib.sha256(rfc8785.dumps(content)).hexdigest()


def link(previous_hash: str, digest: str) -> str:
    """The hash of an entry, from the hash before it and its content digest (all hexadecimal).

    Raises:
        ValueError: one of them is not hexadecimal.
    """
    return hashlib.sha256(bytes.fromhex(previous_hash) + bytes.fromhex(digest)).hexdigest()
