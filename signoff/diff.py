"""The differences between two records, with labels for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.http import QueryDict
from django.utils import timezone

from checklists.models import Deployment
from deployctl.web.http import row_number
from signoff import record as records
from signoff.labels import EMPTY, format_value, label_of
from signoff.models.gate import Gate
from signoff.models.signature import Signature

Json = dict[str, Any]

# A missing value, as opposed to an empty one.
ABSENT = object()
NOW = "now-"


class Difference(NamedTuple):
    """A changed value: its path as labels, its text before and its text after."""

    path: str
    before: str
    after: str

    @property
    def sentence(self) -> str:
        """The difference as a sentence."""
        if self.after == "removed":
            return f"{self.path}: removed."
        if self.before == EMPTY:
            return f"{self.path}: {self.after}."
        return f"{self.path}: was {self.before}, is now {self.after}."


class Kind(NamedTuple):
    """The identity and the label of the entries of a list in a record."""

    key: Callable[[Json], Any]
    name: Callable[[Json], str]


# Lists whose entries are compared one by one, rather than shown in full before and after.
KINDS: dict[str, Kind] = {
    "items": Kind(lambda item: item["key"], lambda item: f"Item “{item['text']}”"),
    "team": Kind(
        lambda member: (member["email"], member["role"]),
        lambda member: f"Team, {member['name']} as {format_value('role', member['role'])}",
    ),
    "runs": Kind(lambda run: run["number"], lambda run: f"Run {run['number']} ({run['operation']})"),
    "backups": Kind(lambda backup: backup["name"], lambda backup: f"Backup {backup['name']}"),
    "migrations": Kind(
        lambda migration: migration["name"], lambda migration: f"Migration {migration['name']}"
    ),
    "slots": Kind(lambda slot: (slot["label"], slot["role"]), lambda slot: f"Slot “{slot['label']}”"),
    "earlier_signatures": Kind(
        lambda signature: signature["audit_sequence"],
        lambda signature: (
            f"Earlier signature of {signature['name']} as {format_value('role', signature['role'])}"
        ),
    ),
}


@dataclass(frozen=True)
class Choice:
    """A record that can be compared: its key in URLs and its label."""

    key: str
    label: str


@dataclass(frozen=True)
class Comparison:
    """Two records and their differences."""

    choices: list[Choice]
    before: str
    after: str
    before_digest: str
    after_digest: str
    changes: list[Difference]


def compare(deployment: Deployment, query: QueryDict) -> Comparison:
    """Return the comparison of two records; by default of the newest signature with the current record.

    Args:
        query: `before` and `after`, each the number of a signature, or `now-` with a gate's key.
    """
    signatures = list(
        Signature.objects.filter(slot__gate__deployment=deployment)
        .for_pages()
        .select_related("slot__gate")
        .order_by("-pk")
    )
    gates = list(deployment.gates.order_by("position"))
    choices = [Choice(f"{NOW}{gate.key}", f"Current record: {gate.title}") for gate in gates]
    choices += [Choice(str(signature.pk), _label(signature)) for signature in signatures]
    keys = [choice.key for choice in choices]
    before, after = query.get("before", ""), query.get("after", "")
    if before not in keys:
        before = str(signatures[0].pk) if signatures else keys[0]
    if after not in keys:
        key = next((each.slot.gate.key for each in signatures if str(each.pk) == before), gates[0].key)
        after = f"{NOW}{key}"
    old, new = _chosen_record(deployment, before, gates), _chosen_record(deployment, after, gates)
    return Comparison(
        choices=choices,
        before=before,
        after=after,
        before_digest=records.digest(old),
        after_digest=records.digest(new),
        changes=between(old, new),
    )


def between(before: Json, after: Json) -> list[Difference]:
    """Return the differences between two records, in the order of the newer one.

    Args:
        before: the older record, such as a signed one.
        after: the newer record.

    Returns:
        One entry per changed value; an empty list if the records are equal.
    """
    return list(_walk("", "", before, after))


def _walk(path: str, key: str, before: Any, after: Any) -> Iterator[Difference]:
    if _same(before, after):
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for inner in {**after, **before}:
            yield from _walk(_inside(path, inner), inner, before.get(inner, ABSENT), after.get(inner, ABSENT))
    elif (old := _by_key(key, before)) is not None and (new := _by_key(key, after)) is not None:
        yield from _entries(key, path, old, new)
    else:
        yield Difference(path, _text(key, before), _text(key, after))


def _entries(key: str, path: str, old: dict[Any, Json], new: dict[Any, Json]) -> Iterator[Difference]:
    name = KINDS[key].name
    found = 0
    for identity, entry in new.items():
        if identity not in old:
            found += 1
            yield Difference(name(entry), EMPTY, "added")
        elif not _same(old[identity], entry):
            found += 1
            yield from _walk(name(entry), "", old[identity], entry)
    for identity in old.keys() - new.keys():
        found += 1
        yield Difference(name(old[identity]), "present", "removed")
    if not found:
        yield Difference(path, "in another order", "the same entries")


def _by_key(key: str, value: Any) -> dict[Any, Json] | None:
    """Return the entries of a known list by identity; None for any other value."""
    kind = KINDS.get(key)
    if kind is None or not isinstance(value, list):
        return None
    try:
        found = {kind.key(entry): entry for entry in value}
        for entry in value:
            kind.name(entry)
    except (KeyError, TypeError, AttributeError):  # a different list under the same key
        return None
    return found if len(found) == len(value) else None


def _same(before: Any, after: Any) -> bool:
    """Return True if two values are equal in JSON, where 1 differs from true, but not from 1.0."""
    if isinstance(before, bool) or isinstance(after, bool):
        return before is after
    if isinstance(before, dict) and isinstance(after, dict):
        return before.keys() == after.keys() and all(_same(before[key], after[key]) for key in before)
    if isinstance(before, list) and isinstance(after, list):
        return len(before) == len(after) and all(map(_same, before, after))
    return bool(before == after)


def _inside(path: str, key: str) -> str:
    label = label_of(key)
    return f"{path}, {label}" if path else label[:1].upper() + label[1:]


def _text(key: str, value: Any) -> str:
    return "(absent)" if value is ABSENT else format_value(key, value)


def _chosen_record(deployment: Deployment, key: str, gates: list[Gate]) -> Json:
    for gate in gates:
        if key == f"{NOW}{gate.key}":
            gate.deployment = deployment
            return gate.record()
    signed = Signature.objects.filter(slot__gate__deployment=deployment).get(pk=row_number(key))
    record: Json = signed.record
    return record


def _label(signature: Signature) -> str:
    at = timezone.localtime(signature.signed_at)
    label = f"{signature.slot.gate.title}: {signature.names}, {signature.slot.label}, {at:%-d %b %Y %H:%M}"
    if signature.is_valid:
        return label
    return f"{label} ({'revoked' if signature.is_revoked else 'stale'})"
