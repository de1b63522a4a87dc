"""An entry's further facts as names and words for a reader."""

from __future__ import annotations

from typing import Any


def facts(data: dict[str, Any]) -> list[tuple[str, str]]:
    """Name and words of each fact that says something.

    Where there are values from before and after, only those that differ, as "old → new".
    """
    if data.keys() == {"before", "after"} and all(isinstance(side, dict) for side in data.values()):
        before, after = data["before"], data["after"]
        return [
            (_name(key), f"{_words(before.get(key)) or '—'} → {_words(after.get(key)) or '—'}")
            for key in sorted(before.keys() | after.keys())
            if before.get(key) != after.get(key)
        ]
    said = ((_name(key), _words(value)) for key, value in data.items())
    return [(name, words) for name, words in said if words]


def _name(key: str) -> str:
    return key.replace("_", " ")


def _words(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_words(item) for item in value)
    if isinstance(value, dict):
        return "; ".join(f"{_name(key)}: {_words(item)}" for key, item in value.items())
    return str(value)
