"""What changed between two records, in words that people use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from signoff.wording import NOTHING, label_of, shown

Json = dict[str, Any]

# Stands for a value that is not there at all, which is something else than an empty one.
ABSENT = object()


class Difference(NamedTuple):
    """One changed place: where, what stood there, what stands there now."""

    place: str
    before: str
    after: str

    @property
    def sentence(self) -> str:
        """The same as a sentence."""
        if self.after == "removed":
            return f"{self.place} is gone."
        if self.before == NOTHING:
            return f"{self.place}: {self.after}."
        return f"{self.place}: was {self.before}, is {self.after}."


class Kind(NamedTuple):
    """How the entries of one of a record's lists are told apart, and what to call one of them."""

    key: Callable[[Json], Any]
    name: Callable[[Json], str]


# Lists whose entries have a name: what became of each is said, rather than both lists in full.
KINDS: dict[str, Kind] = {
    "items": Kind(lambda item: item["key"], lambda item: f"Item “{item['text']}”"),
    "team": Kind(
        lambda seat: (seat["email"], seat["role"]),
        lambda seat: f"Team, {seat['name']} as {shown('role', seat['role'])}",
    ),
    "runs": Kind(lambda run: run["number"], lambda run: f"Run {run['number']} ({run['operation']})"),
    "backups": Kind(lambda backup: backup["name"], lambda backup: f"Backup {backup['name']}"),
    "migrations": Kind(
        lambda migration: migration["name"], lambda migration: f"Migration {migration['name']}"
    ),
    "places": Kind(
        lambda place: (place["label"], place["role"]), lambda place: f"Place to sign “{place['label']}”"
    ),
    "earlier_signatures": Kind(
        lambda given: given["audit_sequence"],
        lambda given: f"Earlier signature of {given['name']} as {shown('role', given['role'])}",
    ),
}


def between(before: Json, after: Json) -> list[Difference]:
    """The differences of two records, in the order of the newer one.

    Args:
        before: the record as it was, for example as it was signed.
        after: the record as it is.

    Returns:
        One entry per changed value; an empty list when both say the same.
    """
    return list(_walk("", "", before, after))


def _walk(place: str, key: str, before: Any, after: Any) -> Iterator[Difference]:
    if _same(before, after):
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for inner in {**after, **before}:
            yield from _walk(
                _inside(place, inner), inner, before.get(inner, ABSENT), after.get(inner, ABSENT)
            )
    elif (old := _by_key(key, before)) is not None and (new := _by_key(key, after)) is not None:
        yield from _entries(key, place, old, new)
    else:
        yield Difference(place, _shown(key, before), _shown(key, after))


def _entries(key: str, place: str, old: dict[Any, Json], new: dict[Any, Json]) -> Iterator[Difference]:
    name = KINDS[key].name
    found = 0
    for identity, entry in new.items():
        if identity not in old:
            found += 1
            yield Difference(name(entry), NOTHING, "added")
        elif not _same(old[identity], entry):
            found += 1
            yield from _walk(name(entry), "", old[identity], entry)
    for identity in old.keys() - new.keys():
        found += 1
        yield Difference(name(old[identity]), "present", "removed")
    if not found:
        yield Difference(place, "in another order", "the same entries")


def _by_key(key: str, value: Any) -> dict[Any, Json] | None:
    """A list's entries by what tells them apart; None where it is no such list."""
    kind = KINDS.get(key)
    if kind is None or not isinstance(value, list):
        return None
    try:
        found = {kind.key(entry): entry for entry in value}
        for entry in value:
            kind.name(entry)
    except (KeyError, TypeError, AttributeError):  # a list of something else by the same name
        return None
    return found if len(found) == len(value) else None


def _same(before: Any, after: Any) -> bool:
    """Whether two values are the same in JSON, where 1 and true are two things (and 1 and 1.0 are one)."""
    if isinstance(before, bool) or isinstance(after, bool):
        return before is after
    if isinstance(before, dict) and isinstance(after, dict):
        return before.keys() == after.keys() and all(_same(before[key], after[key]) for key in before)
    if isinstance(before, list) and isinstance(after, list):
        return len(before) == len(after) and all(map(_same, before, after))
    return bool(before == after)


def _inside(place: str, key: str) -> str:
    label = label_of(key)
    return f"{place}, {label}" if place else label[:1].upper() + label[1:]


def _shown(key: str, value: Any) -> str:
    return "(absent)" if value is ABSENT else shown(key, value)
