"""What changed between two records, as sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

Json = dict[str, Any]

# Stands for a value that is not there at all, which is something else than an empty one.
ABSENT = object()

_LABELS = {
    "rollback_plan": "Rollback plan",
    "completion": "completion",
    "waiver": "waiver",
    "proofs": "proofs",
    "state": "state",
    "database_oid": "database oid",
    "system_identifier": "system identifier",
}


class Difference(NamedTuple):
    """One changed place: where, what stood there, what stands there now."""

    place: str
    before: str
    after: str


def between(before: Json, after: Json) -> list[Difference]:
    """The differences of two records of the same gate, in the order of the newer one.

    Args:
        before: the record as it was, for example as it was signed.
        after: the record as it is.

    Returns:
        One entry per changed value; an empty list when both say the same.
    """
    return [
        *_walk("", _without_items(before), _without_items(after)),
        *_items(before.get("items", []), after.get("items", [])),
    ]


def _without_items(record: Json) -> Json:
    return {key: value for key, value in record.items() if key != "items"}


def _items(before: list[Json], after: list[Json]) -> Iterator[Difference]:
    old = {item["key"]: item for item in before}
    new = {item["key"]: item for item in after}
    for key, item in new.items():
        if key not in old:
            yield Difference(f"Item “{item['text']}”", "—", "added")
            continue
        yield from _walk(f"Item “{item['text']}”", old[key], item)
    for key in old.keys() - new.keys():
        yield Difference(f"Item “{old[key]['text']}”", "present", "removed")


def _walk(place: str, before: Any, after: Any) -> Iterator[Difference]:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in {**before, **after}:
            yield from _walk(_inside(place, key), before.get(key, ABSENT), after.get(key, ABSENT))
    else:
        yield Difference(place, _shown(before), _shown(after))


def _inside(place: str, key: str) -> str:
    label = _LABELS.get(key, key.replace("_", " "))
    return f"{place}, {label}" if place else label[:1].upper() + label[1:]


def _shown(value: Any) -> str:
    if value is ABSENT:
        return "(absent)"
    if value is None or value in ("", [], {}):
        return "—"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(inner)}" for key, inner in value.items() if inner not in ("", None))
    if isinstance(value, list):
        return "; ".join(_shown(inner) for inner in value)
    return str(value)
