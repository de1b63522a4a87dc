"""Fill in a checklist: tick its checkboxes, sign its signature lines, and add notes below its items.

All other lines stay unchanged, and the result is a valid template with the same items and signature lines.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from checklists.markdown.decoding import normalize_spaces
from checklists.markdown.document import Node, blocks, task_text

# Well below `document.MAX_INLINE`, even if every character is escaped.
MAX_NOTE_LENGTH = 2000
_SPECIAL = frozenset("\\`*_[]<>~&|")
# Characters that begin a block at the start of a line; after digits, a dot or a parenthesis does.
_BEGINS_BLOCK = frozenset("#+-=>:")
_BOX = "[ ]"


@dataclass(frozen=True)
class ItemMark:
    """The result of an item.

    Attributes:
        ticked: True to tick its checkbox.
        notes: plain texts to add below it, such as who completed it and when.
    """

    ticked: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class FilledSlot:
    """The name and date for a signature line, as plain text."""

    name: str
    date: str


def fill(
    source: str,
    marks: Mapping[int, ItemMark],
    signatures: Mapping[int, FilledSlot],
    preface: Sequence[str] = (),
) -> str:
    """Return the checklist with its items and signature lines filled in.

    Args:
        source: the template.
        marks: by line number of the item (`ParsedItem.line`).
        signatures: by line number of the signature line (`ParsedSlot.line`).
        preface: plain texts to add below the title.
    """
    source = source.removeprefix("\ufeff")
    lines = source.split("\n")
    nodes = blocks(normalize_spaces(source))
    after: dict[int, list[str]] = {}
    for first, last in _tasks(nodes):
        if first in signatures:
            lines[first - 1] = _sign(lines[first - 1], signatures[first])
        elif first in marks:
            mark = marks[first]
            margin = _indentation(lines[first - 1])
            lines[first - 1] = _tick(lines[first - 1], ticked=mark.ticked)
            after[last] = [f"{margin}- {escape(part)}" for note in mark.notes for part in _chunks(note)]
    title_end = _end_of_title(nodes)
    if preface:
        quoted = [f"> - {escape(part)}" for text in preface for part in _chunks(text)]
        after[title_end] = ["", *quoted, *after.get(title_end, [])]
    filled = list(after.get(0, []))
    for number, line in enumerate(lines, 1):
        filled += [line, *after.get(number, [])]
    return "\n".join(filled)


def escape(text: str) -> str:
    """Return plain text as inline Markdown on one line, with special characters escaped."""
    one_line = " ".join(_printable(text).split())
    # Some parsers recognize a comment here even if it is escaped.
    one_line = one_line.replace("<!--", "<! --")
    escaped = "".join(f"\\{character}" if character in _SPECIAL else character for character in one_line)
    digits = len(escaped) - len(escaped.lstrip("0123456789"))
    if escaped[:1] in _BEGINS_BLOCK or (digits and escaped[digits : digits + 1] in {".", ")"}):
        return f"{escaped[:digits]}\\{escaped[digits:]}"
    return escaped


def _printable(text: str) -> str:
    # Line separators would end the item, and control characters could hide text.
    return "".join(" " if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"} else c for c in text)


def _chunks(text: str) -> list[str]:
    text = " ".join(text.split())
    return [text[start : start + MAX_NOTE_LENGTH] for start in range(0, len(text), MAX_NOTE_LENGTH)]


def _tasks(nodes: Sequence[Node]) -> Iterator[tuple[int, int]]:
    """Yield the first and last line number of the paragraph of each item with a checkbox."""
    for node in nodes:
        for inner in node.walk():
            if task_text(inner) is not None:
                paragraph = inner.children[0]
                span = paragraph.token.map or [paragraph.line - 1, paragraph.line]
                yield span[0] + 1, span[1]


def _end_of_title(nodes: Sequence[Node]) -> int:
    """Return the number of the title's last line, or 0 if there is no title."""
    title = next((node for node in nodes if node.type == "heading" and node.token.tag == "h1"), None)
    return title.token.map[1] if title and title.token.map else 0


def _box_of(line: str) -> tuple[int, int]:
    """Return the start and end position of the checkbox in a line; `[]` counts as one."""
    start = line.index("[")
    return start, line.index("]", start) + 1


def _indentation(line: str) -> str:
    """Return the prefix of an item's text, with the list marker replaced by spaces."""
    before = line[: _box_of(line)[0]]
    return "".join(character if character in ">\t" else " " for character in before)


def _tick(line: str, *, ticked: bool) -> str:
    start, end = _box_of(line)
    rest = line[end:]
    gap = "" if not rest or rest[0].isspace() else " "
    return f"{line[:start]}{'[x]' if ticked else _BOX}{gap}{rest}"


def _sign(line: str, signed: FilledSlot) -> str:
    """Return the signature line with its blanks replaced by name and date between double underscores.

    The label of a signature line ends at its first double underscore, so the result has the same label.
    """
    line = _tick(line, ticked=True)
    blanks = list(_blanks(line))
    values = [f"__{escape(signed.name)}__", f"__{escape(signed.date)}__"]
    if not blanks:
        comment = line.find("<!--")
        at = len(line) if comment < 0 else comment
        text = line[:at].rstrip().removesuffix(":")
        return f"{text}: {values[0]} Date: {values[1]} {line[at:]}".rstrip()
    if len(blanks) == 1:
        values = [f"{values[0]} {values[1]}"]
    for (start, end), value in reversed(list(zip(blanks, values, strict=False))):
        line = f"{line[:start]}{value}{line[end:]}"
    return line


def _blanks(line: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of each run of two or more underscores, escaped or not, before any comment."""
    end_of_text = line.find("<!--")
    at, end_of_text = 0, len(line) if end_of_text < 0 else end_of_text
    while at < end_of_text:
        start = at
        while at < end_of_text and line[at] in "_\\":
            at += 1
        if line[start:at].count("_") > 1:
            yield start, at
        at = max(at, start + 1)
