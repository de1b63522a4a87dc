"""Extract contacts and severity definitions from the notes of a checklist."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from checklists.markdown.document import Node, blocks, plain_text
from checklists.markdown.model import ParsedContact, ParsedPhase, ParsedSeverity
from checklists.markdown.slugs import slug
from checklists.markdown.vocabulary import SEVERITIES, role_of


def contacts_of(phases: Iterable[ParsedPhase]) -> tuple[ParsedContact, ...]:
    """Return the list entries `Role: details` below headings that contain “contact” or “contacts”."""
    found = []
    for phase in phases:
        for section in phase.sections:
            if {"contact", "contacts"} & set(slug(section.title or phase.title).split("-")):
                for note in section.notes:
                    found += [
                        ParsedContact(label, role_of(label), details)
                        for label, details in _definitions(note.text)
                    ]
    return tuple(found)


def severities_of(phases: Iterable[ParsedPhase]) -> tuple[ParsedSeverity, ...]:
    """Return the first list entry of each severity (`Critical: …`, `High: …`) in the whole checklist."""
    found: dict[str, str] = {}
    for phase in phases:
        for section in phase.sections:
            for note in section.notes:
                for label, meaning in _definitions(note.text):
                    if label.lower() in SEVERITIES:
                        found.setdefault(label.lower(), meaning)
    return tuple(ParsedSeverity(name, found[name]) for name in SEVERITIES if name in found)


def _definitions(markdown: str) -> Iterator[tuple[str, str]]:
    for entry in _entries(blocks(markdown)):
        head = entry.children[0] if entry.children else None
        if head and head.inline:
            label, colon, rest = plain_text(head.inline.children).partition(":")
            if colon and label.strip() and rest.strip():
                yield label.strip(), rest.strip()


def _entries(nodes: Iterable[Node]) -> Iterator[Node]:
    return (inner for node in nodes for inner in node.walk() if inner.type == "list_item")
