"""Labels for the data of audit entries, records and packs, and an entry's data as text."""

from __future__ import annotations

from typing import Any

_LABELS = {
    "at": "when",
    "audit_sequence": "audit entry",
    "by": "by",
    "created_by": "created by",
    "creator_may_sign": "creator may sign",
    "database_oid": "database OID",
    "email": "e-mail address",
    "manifest_sha256": "manifest digest (SHA-256)",
    "params": "parameters",
    "quorum": "signatures needed",
    "requires": "required run",
    "rows": "rows in all tables",
    "sha256": "digest (SHA-256)",
    "size_bytes": "size in bytes",
    "snapshot_at": "snapshot taken",
    "within_s": "time limit in seconds",
}


def facts(data: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the label and the text of each fact that has a value.

    If the data is a `before` and an `after`, return only the values that differ, as "old → new".
    """
    if data.keys() == {"before", "after"} and all(isinstance(side, dict) for side in data.values()):
        before, after = data["before"], data["after"]
        return [
            (label_of(key), f"{_as_text(before.get(key)) or '—'} → {_as_text(after.get(key)) or '—'}")
            for key in sorted(before.keys() | after.keys())
            if before.get(key) != after.get(key)
        ]
    described = ((label_of(key), _as_text(value)) for key, value in data.items())
    return [(label, text) for label, text in described if text]


def label_of(key: str) -> str:
    """Return the label of a fact."""
    return _LABELS.get(key, key.replace("_", " "))


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_as_text(item) for item in value)
    if isinstance(value, dict):
        return "; ".join(f"{label_of(key)}: {_as_text(item)}" for key, item in value.items())
    return str(value)
