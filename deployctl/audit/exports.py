"""Entries as JSON lines: one canonical entry a line, and a signed line at the end that seals all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import rfc8785
from django.db import transaction
from django.utils import timezone

from deployctl.audit import append, signed_statements, signing_keys
from deployctl.audit.actions import Action
from deployctl.audit.actors import Actor, actor_name
from deployctl.audit.canonical import exported
from deployctl.audit.models.entry import Entry, EntryQuerySet

SCHEMA = "deployctl.audit-export/1"
CHUNK = 1000


def export(found: EntryQuerySet, *, by: Actor, filters: Mapping[str, Any]) -> Iterator[bytes]:
    """The entries that were found, oldest first, some thousand in memory at a time.

    The export itself becomes an entry before its first byte, and is not part of it.

    Args:
        found: entries; their order does not matter.
        by: who exports them.
        filters: what was asked for, as the last line and the audit say it.

    Raises:
        SigningKeyMissing: there is no key; nothing was exported.
    """
    key = signing_keys.signing_key()
    newest = Entry.objects.order_by("-sequence").values_list("sequence", flat=True).first() or 0
    with transaction.atomic():
        append(Action.AUDIT_EXPORTED, by=by, data={"filters": dict(filters)})
    return _lines(found.filter(sequence__lte=newest), key, actor_name(by), filters)


def _lines(found: EntryQuerySet, key: Any, by: str, filters: Mapping[str, Any]) -> Iterator[bytes]:
    digest, count = hashlib.sha256(), 0
    for entry in in_order(found):
        line = rfc8785.dumps(exported(entry)) + b"\n"
        digest.update(line)
        count += 1
        yield line
    closing = {
        "schema": SCHEMA,
        "entries": count,
        "sha256": digest.hexdigest(),
        "filters": {name: str(value) for name, value in filters.items()},
        "exported_at": timezone.now().isoformat(timespec="microseconds"),
        "exported_by": by,
    }
    yield rfc8785.dumps(signed_statements.sign(closing, key)) + b"\n"


def in_order(found: EntryQuerySet) -> Iterator[Entry]:
    """Every entry found, oldest first, by questions of their own.

    Not one long statement: whoever reads slowly would hold a transaction open in the database.
    """
    last = 0
    while chunk := list(found.filter(sequence__gt=last).order_by("sequence")[:CHUNK]):
        yield from chunk
        last = chunk[-1].sequence
