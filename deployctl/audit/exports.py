"""Export of the audit log as JSON lines: one canonical entry per line, and a signed closing line."""

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
from deployctl.audit.canonical import export_record
from deployctl.audit.models.entry import Entry, EntryQuerySet

SCHEMA = "deployctl.audit-export/1"
CHUNK_SIZE = 1000


def export(entries: EntryQuerySet, *, by: Actor, filters: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield the lines of an export, oldest entry first, with at most a thousand entries in memory.

    The export is recorded as an audit entry before the first line; that entry isn't part of the export.

    Args:
        entries: in any order.
        by: who exports them.
        filters: the filters that selected the entries, for the closing line and the audit log.

    Raises:
        SigningKeyMissing: there is no key; nothing was exported.
    """
    key = signing_keys.signing_key()
    newest = Entry.objects.order_by("-sequence").values_list("sequence", flat=True).first() or 0
    with transaction.atomic():
        append(Action.AUDIT_EXPORTED, by=by, data={"filters": dict(filters)})
    return _lines(entries.filter(sequence__lte=newest), key, actor_name(by), filters)


def _lines(entries: EntryQuerySet, key: Any, by: str, filters: Mapping[str, Any]) -> Iterator[bytes]:
    digest, count = hashlib.sha256(), 0
    for entry in in_order(entries):
        line = rfc8785.dumps(export_record(entry)) + b"\n"
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


def in_order(entries: EntryQuerySet) -> Iterator[Entry]:
    """Yield the entries, oldest first, with one query per chunk.

    A single long query would keep a transaction open for as long as a slow client downloads.
    """
    last = 0
    while chunk := list(entries.filter(sequence__gt=last).order_by("sequence")[:CHUNK_SIZE]):
        yield from chunk
        last = chunk[-1].sequence
