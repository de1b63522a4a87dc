"""Anchor stores: signed heads outside the database, written on schedule and read when the chain is verified.

The owner of the database can rewrite a chain as a whole, unless its heads are anchored elsewhere.
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
MAX_HEAD_BYTES = 10_000  # a head has some 400
# A bucket is read one object at a time: read the newest heads, and as many spread over the older ones.
MAX_NEWEST = 50


class AnchorStore(Protocol):
    """The interface of a store that heads are written to (`deployctl.storage.stores.Store`)."""

    name: str
    address: str

    def put(self, key: str, source: BinaryIO, advance: Callable[[int], None]) -> None:
        """Write an object."""

    def read(self, key: str) -> Iterator[bytes]:
        """Read an object."""

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return the size in bytes of every object whose key starts with `prefix`."""


def configured() -> list[AnchorStore]:
    """Return the configured stores.

    Raises:
        DeployctlError: the configuration is unusable.
    """
    return [store for stores in hooks.anchor_stores.collect() for store in stores]


@dataclass
class AnchoredHeads:
    """The heads that were read from the stores.

    Attributes:
        heads: genuine ones, to compare the chain with.
        problems: sentences about unreadable stores and about heads that are not genuine.
    """

    heads: list[Head] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def export(head: SignedHead) -> SignedHead:
    """Write a head to every store, unless that was done before.

    Raises:
        DeployctlError: no store is configured, or one of them failed.
    """
    if head.exported_at is not None:
        return head
    stores = configured()
    if not stores:
        raise DeployctlError(
            "The head was signed, but it is in the database only. Set DEPLOYCTL_HEADS to an anchor store."
        )
    for store in stores:
        content = io.BytesIO(rfc8785.dumps(head.signed) + b"\n")
        store.put(_key(head), content, lambda _written: None)
    addresses = ", ".join(store.address for store in stores)[:500]
    SignedHead.objects.filter(pk=head.pk, exported_at=None).update(
        exported_at=timezone.now(), exported_to=addresses
    )
    head.refresh_from_db()
    return head


def read_heads() -> AnchoredHeads:
    """Read heads from every store. A failing store is reported as a problem and does not raise."""
    found = AnchoredHeads()
    try:
        stores = configured()
    except DeployctlError as error:
        found.problems.append(error.message)
        return found
    for store in stores:
        try:
            for key in _select_keys(sorted(store.sizes(f"{FOLDER}/"))):
                _read_head(found, store, key)
        except DeployctlError as error:
            found.problems.append(f"Heads in {store.address} could not be read: {error.message}")
    return found


def _key(head: SignedHead) -> str:
    # Leading zeros make the keys sort in numeric order.
    return f"{FOLDER}/{head.sequence:015d}-{head.hash[:16]}.json"


def _select_keys(keys: list[str]) -> list[str]:
    newest, older = keys[-MAX_NEWEST:], keys[:-MAX_NEWEST]
    step = max(1, len(older) // MAX_NEWEST)
    return older[::step][:MAX_NEWEST] + newest


def _read_head(found: AnchoredHeads, store: AnchorStore, key: str) -> None:
    content = b"".join(store.read(key))
    statement: Any = None
    if len(content) <= MAX_HEAD_BYTES:
        try:
            statement = json.loads(content)
        except ValueError:
            statement = None
    if not isinstance(statement, dict) or statement.get("schema") != SCHEMA:
        found.problems.append(f"{key} in {store.address} isn't a signed head.")
    elif not signed_statements.has_valid_signature(statement):
        found.problems.append(f"{key} in {store.address} was changed: its signature is invalid.")
    elif statement["public_key"] not in signing_keys.trusted_keys():
        found.problems.append(
            f"{key} in {store.address} was signed with another key "
            f"({signed_statements.fingerprint(statement['public_key'])[:16]}…). If that key was replaced, "
            "add its public key to DEPLOYCTL_FORMER_KEYS."
        )
    else:
        found.heads.append(Head(int(statement["sequence"]), str(statement["hash"])))
