"""A small evidence pack made by hand, which can be changed and sealed again with the same key."""

from __future__ import annotations

import io
from typing import Any

from deployctl.audit import signed_statements
from deployctl.audit.chain import GENESIS, content_digest, link
from signoff.verifier import pack, pack_format

DEPLOYMENT = 7
KEY = signed_statements.read_private(signed_statements.new_key())
PUBLIC_KEY = signed_statements.public_of(KEY)


def entry(number: int, previous: str, **changes: Any) -> dict[str, Any]:
    """An entry of the audit chain."""
    content = {
        "sequence": number,
        "at": "2026-12-01T00:00:00Z",
        "actor": None,
        "actor_name": "Ann",
        "action": "item.completed",
        "subject_type": "item",
        "subject_id": "1",
        "subject": "Item",
        "deployment": DEPLOYMENT,
        "data": {},
        **changes,
    }
    return {**content, "previous_hash": previous, "hash": link(previous, content_digest(content))}


def chain(**changes: Any) -> dict[str, Any]:
    """Entries 4 and 6 of the deployment, and entry 5 of another one. `changes` are made to entry 6."""
    first = entry(4, GENESIS)
    hidden = content_digest(entry(5, first["hash"], deployment=8))
    last = entry(6, link(first["hash"], hidden), **changes)
    head = {"schema": pack.HEAD_SCHEMA, "sequence": 6, "hash": last["hash"]}
    return {
        "start": {"sequence": 4, "previous_hash": GENESIS},
        "links": [first, hidden, last],
        "head": signed_statements.sign(head, KEY),
    }


def contents() -> dict[str, Any]:
    """The contents of a pack with one signature."""
    record = {"said": "All is well."}
    digest = pack_format.digest(record)
    return {
        "about": {
            "deployment": DEPLOYMENT,
            "title": "Shop",
            "target": "shop",
            "state": "approved",
            "final": False,
            "exported_at": "2026-12-01T00:00:00Z",
        },
        "chain": chain(action="signature.created", data={"digest": digest}),
        "checklist": [{"text": "Item"}, {"text": "Another"}],
        "records": {digest: record},
        "signatures": [{"record_digest": digest, "audit_sequence": 6, "printed_name": "Ann"}],
    }


def sealed(given: dict[str, Any], **options: str) -> bytes:
    """The bytes of a pack with these contents."""
    stream = io.BytesIO()
    pack_format.write(given, KEY, stream, **options)
    return stream.getvalue()
