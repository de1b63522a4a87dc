"""Canonical content and hash of an audit entry."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deployctl.audit.chain import GENESIS, content_digest, link

if TYPE_CHECKING:
    from deployctl.audit.models import Entry

__all__ = ["GENESIS", "compute_hash", "content", "export_record", "jsonable"]

# Some JSON parsers change larger integers (RFC 8785, 3.2.2.3; RFC 7493, 2.2).
_MAX_INTEGER = 2**53 - 1


def jsonable(value: Any) -> Any:
    """Return the nearest value that PostgreSQL's `jsonb` stores unchanged, so that hashes can be recomputed.

    In text, NUL (which `jsonb` rejects) and lone surrogates are replaced. Values that JSON can't represent
    exactly, such as a date or an integer beyond 2^53, become text.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if abs(value) <= _MAX_INTEGER else str(int(value))
    if isinstance(value, float):
        return value if math.isfinite(value) and abs(value) <= _MAX_INTEGER else str(value)
    if isinstance(value, Mapping):
        return {jsonable(str(key)): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((jsonable(item) for item in value), key=str)
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    return str(value).replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def content(entry: Entry) -> dict[str, Any]:
    """Return the hashed content of an entry: every field except the two hashes."""
    return {
        "sequence": entry.sequence,
        "at": entry.at.astimezone(dt.UTC).isoformat(timespec="microseconds"),
        "actor": entry.actor_id,
        "actor_name": entry.actor_name,
        "action": entry.action,
        "subject_type": entry.subject_type,
        "subject_id": entry.subject_id,
        "subject": entry.subject,
        "deployment": entry.deployment_id,
        "data": entry.data,
    }


def export_record(entry: Entry) -> dict[str, Any]:
    """Return an entry as exports contain it: its content, its hash and the previous hash."""
    return content(entry) | {"previous_hash": entry.previous_hash, "hash": entry.hash}


def compute_hash(entry: Entry) -> str:
    """Return the entry's hash, computed from its content and the previous hash (see `chain`)."""
    return link(entry.previous_hash, content_digest(content(entry)))
