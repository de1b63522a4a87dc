"""A checklist filled in: the author's own text with boxes ticked, lines signed and remarks below the items.

Only the lines concerned are touched, so everything else stays as it was written; and what comes out is still
a valid template with the same items and signature lines.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from checklists.markdown.decoding import plain_spaces
from checklists.markdown.document import Node, blocks, task_text

# Well below `document.MAX_INLINE`, also when every character has to be escaped.
MAX_REMARK_LENGTH = 2000
_SPECIAL = frozenset("\\`*_[]<>~&|")
# What begins a block of its own at the start of a line; after digits, a dot or a bracket does.
_BEGINS_BLOCK = frozenset("#+-=>:")
_BOX = "[ ]"


@dataclass(frozen=True)
class Mark:
    """What became of an item.

    Attributes:
        ticked: whether its box is.
        remarks: plain texts to write below it: who, when, how it is known.
    """

    ticked: bool
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Signed:
    """What stands on a signature line, as plain text."""

    name: str
    date: str


def fill(
    source: str, marks: Mapping[int, Mark], signatures: Mapping[int, Signed], preface: Sequence[str] = ()
) -> str:
    """Fill a checklist in.

    Args:
        source: the template.
        marks: by the line of the item (`ParsedItem.line`).
        signatures: by the line of the signature line (`ParsedSlot.line`).
        preface: plain texts to write below the title.
    """
    source = source.removeprefix("\ufeff")
    lines = source.split("\n")
    nodes = blocks(plain_spaces(source))
    after: dict[int, list[str]] = {}
    for first, last in _tasks(nodes):
        if first in signatures:
            lines[first - 1] = _sign(lines[first - 1], signatures[first])
        elif first in marks:
            mark = marks[first]
            margin = _margin(lines[first - 1])
            lines[first - 1] = _tick(lines[first - 1], ticked=mark.ticked)
            after[last] = [
                f"{margin}- {shown(part)}" for remark in mark.remarks for part in _portions(remark)
            ]
    title_end = _end_of_title(nodes)
    if preface:
        quoted = [f"> - {shown(part)}" for text in preface for part in _portions(text)]
        after[title_end] = ["", *quoted, *after.get(title_end, [])]
    filled = list(after.get(0, []))
    for number, line in enumerate(lines, 1):
        filled += [line, *after.get(number, [])]
    return "\n".join(filled)


def shown(text: str) -> str:
    """Inline Markdown on one line that shows a plain text as it is, whatever it holds."""
    one_line = " ".join(_printable(text).split())
    # However it is escaped, a parser that looks for comments would take this for one.
    one_line = one_line.replace("<!--", "<! --")
    escaped = "".join(f"\\{character}" if character in _SPECIAL else character for character in one_line)
    digits = len(escaped) - len(escaped.lstrip("0123456789"))
    if escaped[:1] in _BEGINS_BLOCK or (digits and escaped[digits : digits + 1] in {".", ")"}):
        return f"{escaped[:digits]}\\{escaped[digits:]}"
    return escaped


def _printable(text: str) -> str:
    # Separators of lines and characters that control would end the item, or hide what stands there.
    return "".join(" " if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"} else c for c in text)


def _portions(text: str) -> list[str]:
    text = " ".join(text.split())
    return [text[start : start + MAX_REMARK_LENGTH] for start in range(0, len(text), MAX_REMARK_LENGTH)]


def _tasks(nodes: Sequence[Node]) -> Iterator[tuple[int, int]]:
    """First and last line of the paragraph of every item with a box."""
    for node in nodes:
        for inner in node.walk():
            if task_text(inner) is not None:
                paragraph = inner.children[0]
                span = paragraph.token.map or [paragraph.line - 1, paragraph.line]
                yield span[0] + 1, span[1]


def _end_of_title(nodes: Sequence[Node]) -> int:
    """The last line of the title; 0 where there is none."""
    title = next((node for node in nodes if node.type == "heading" and node.token.tag == "h1"), None)
    return title.token.map[1] if title and title.token.map else 0


def _box_of(line: str) -> tuple[int, int]:
    """Where the box of a line stands, `[]` included."""
    start = line.index("[")
    return start, line.index("]", start) + 1


def _margin(line: str) -> str:
    """What stands before the text of an item, with spaces in place of the mark of its list."""
    before = line[: _box_of(line)[0]]
    return "".join(character if character in ">\t" else " " for character in before)


def _tick(line: str, *, ticked: bool) -> str:
    start, end = _box_of(line)
    rest = line[end:]
    gap = "" if not rest or rest[0].isspace() else " "
    return f"{line[:start]}{'[x]' if ticked else _BOX}{gap}{rest}"


def _sign(line: str, signed: Signed) -> str:
    """Write name and date where the line leaves room for them, as strong text between underscores.

    The label of a signature line ends at its first pair of underscores, so it stays what it was.
    """
    line = _tick(line, ticked=True)
    blanks = list(_blanks(line))
    values = [f"__{shown(signed.name)}__", f"__{shown(signed.date)}__"]
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
    """Runs of at least two underscores, escaped or not, before any comment."""
    end_of_text = line.find("<!--")
    at, end_of_text = 0, len(line) if end_of_text < 0 else end_of_text
    while at < end_of_text:
        start = at
        while at < end_of_text and line[at] in "_\\":
            at += 1
        if line[start:at].count("_") > 1:
            yield start, at
        at = max(at, start + 1)
