"""Where signed heads are kept besides the database: written on schedule, read when the chain is verified.

A chain without an anchor outside can be rewritten as a whole by whoever owns the database.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol

import rfc8785
from django.utils import timezone

from deployctl.audit import hooks, signed_statements, signing_keys
from deployctl.audit.models.signed_head import SCHEMA, SignedHead
from deployctl.audit.verification import Head
from deployctl.errors import DeployctlError

FOLDER = "deployctl-heads"
LARGEST_HEAD = 10_000  # bytes; ours have some 400
# A bucket answers one question at a time: the newest heads, and as many spread over the older ones.
MOST_READ = 50


class AnchorStore(Protocol):
    """What is needed of a store (`deployctl.storage.stores.Store`)."""

    name: str
    address: str

    def put(self, key: str, source: BinaryIO, advance: Callable[[int], None]) -> None:
        """Write an object."""

    def read(self, key: str) -> Iterator[bytes]:
        """Read one."""

    def sizes(self, prefix: str) -> dict[str, int]:
        """Every key that begins so, with its size in bytes."""


def configured() -> list[AnchorStore]:
    """The configured places.

    Raises:
        DeployctlError: the configuration cannot be used.
    """
    return [place for opened in hooks.anchor_stores.collect() for place in opened]


@dataclass
class AnchoredHeads:
    """What was found in the places.

    Attributes:
        heads: genuine ones, to compare the chain with.
        problems: sentences about places that cannot be read and about heads that are not genuine.
    """

    heads: list[Head] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def export(head: SignedHead) -> SignedHead:
    """Write a head to every place, unless it is there already.

    Raises:
        DeployctlError: no place is configured, or one of them did not take it.
    """
    if head.exported_at is not None:
        return head
    targets = configured()
    if not targets:
        raise DeployctlError(
            "The head was signed and is in the database only: DEPLOYCTL_HEADS names no other place for it."
        )
    for place in targets:
        content = io.BytesIO(rfc8785.dumps(head.signed) + b"\n")
        place.put(_key(head), content, lambda _written: None)
    where = ", ".join(place.address for place in targets)[:500]
    SignedHead.objects.filter(pk=head.pk, exported_at=None).update(
        exported_at=timezone.now(), exported_to=where
    )
    head.refresh_from_db()
    return head


def read_heads() -> AnchoredHeads:
    """Read heads back from every place; what is wrong with a place is told and stops nothing."""
    found = AnchoredHeads()
    try:
        targets = configured()
    except DeployctlError as error:
        found.problems.append(error.message)
        return found
    for place in targets:
        try:
            for key in _worth_reading(sorted(place.sizes(f"{FOLDER}/"))):
                _take(found, place, key)
        except DeployctlError as error:
            found.problems.append(f"Heads in {place.address} could not be read: {error.message}")
    return found


def _key(head: SignedHead) -> str:
    # With leading zeros, names sort as numbers do.
    return f"{FOLDER}/{head.sequence:015d}-{head.hash[:16]}.json"


def _worth_reading(names: list[str]) -> list[str]:
    newest, older = names[-MOST_READ:], names[:-MOST_READ]
    step = max(1, len(older) // MOST_READ)
    return older[::step][:MOST_READ] + newest


def _take(found: AnchoredHeads, place: AnchorStore, key: str) -> None:
    content = b"".join(place.read(key))
    statement: Any = None
    if len(content) <= LARGEST_HEAD:
        try:
            statement = json.loads(content)
        except ValueError:
            statement = None
    if not isinstance(statement, dict) or statement.get("schema") != SCHEMA:
        found.problems.append(f"{key} in {place.address} is no signed head.")
    elif not signed_statements.has_valid_signature(statement):
        found.problems.append(f"{key} in {place.address} was changed: its signature does not fit.")
    elif statement["public_key"] not in signing_keys.trusted_keys():
        found.problems.append(
            f"{key} in {place.address} was signed with another key "
            f"({signed_statements.fingerprint(statement['public_key'])[:16]}…). If that key was replaced, "
            "name its public key in DEPLOYCTL_FORMER_KEYS."
        )
    else:
        found.heads.append(Head(int(statement["sequence"]), str(statement["hash"])))
