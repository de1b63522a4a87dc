"""What of an entry is hashed, and its hash."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deployctl.audit.chain import GENESIS, content_digest, link

if TYPE_CHECKING:
    from deployctl.audit.models import Entry

__all__ = ["GENESIS", "content", "exported", "jsonable", "seal"]

# Integers beyond this are not the same number in every JSON reader (RFC 8785, 3.2.2.3; RFC 7493, 2.2).
_LARGEST = 2**53 - 1


def jsonable(value: Any) -> Any:
    """The nearest value that comes back unchanged from PostgreSQL's `jsonb`, so that hashes can be checked.

    Text loses NUL (which `jsonb` refuses) and lone surrogates; what JSON cannot say exactly, such as a date
    or an integer beyond 2^53, becomes text.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if abs(value) <= _LARGEST else str(int(value))
    if isinstance(value, float):
        return value if math.isfinite(value) and abs(value) <= _LARGEST else str(value)
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
    """What is hashed of an entry: everything that it says, but not its hash."""
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


def exported(entry: Entry) -> dict[str, Any]:
    """An entry as exports carry it: what it says, with its hash and the one before."""
    return content(entry) | {"previous_hash": entry.previous_hash, "hash": entry.hash}


def seal(entry: Entry) -> str:
    """The entry's hash, recomputed from what it says and from the hash before (see `chain`)."""
    return link(entry.previous_hash, content_digest(content(entry)))
