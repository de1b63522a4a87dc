"""The labels of facts in audit entries, records and packs, and an entry's facts as text."""

from __future__ import annotations

from typing import Any

_LABELS = {
    "at": "when",
    "audit_sequence": "place in the audit chain",
    "by": "by whom",
    "created_by": "created by",
    "creator_may_sign": "whether the creator may sign",
    "database_oid": "database oid",
    "email": "address",
    "manifest_sha256": "digest of the manifest",
    "params": "parameters",
    "quorum": "people needed",
    "requires": "run that is required",
    "rows": "rows in all tables",
    "sha256": "digest",
    "size_bytes": "size in bytes",
    "snapshot_at": "when its data was read",
    "within_s": "within seconds",
}


def facts(data: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the label and the text of each fact that has a value.

    Of values from before and after, only those that differ, as "old → new".
    """
    if data.keys() == {"before", "after"} and all(isinstance(side, dict) for side in data.values()):
        before, after = data["before"], data["after"]
        return [
            (label_of(key), f"{_words(before.get(key)) or '—'} → {_words(after.get(key)) or '—'}")
            for key in sorted(before.keys() | after.keys())
            if before.get(key) != after.get(key)
        ]
    said = ((label_of(key), _words(value)) for key, value in data.items())
    return [(name, words) for name, words in said if words]


def label_of(key: str) -> str:
    """Return the label of a fact."""
    return _LABELS.get(key, key.replace("_", " "))


def _words(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_words(item) for item in value)
    if isinstance(value, dict):
        return "; ".join(f"{label_of(key)}: {_words(item)}" for key, item in value.items())
    return str(value)
