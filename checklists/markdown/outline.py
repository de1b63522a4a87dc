"""Determine title, phases and sections of a document from its heading levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from checklists.markdown import annotation
from checklists.markdown.annotation import HEADING_KEYS, Value
from checklists.markdown.document import Node, contains_task
from checklists.markdown.errors import Collector
from checklists.markdown.notes import heading_text

DEFAULT_TITLE = "Checklist"  # also for the phase of items before the first heading
MAX_TITLE = 300  # characters


@dataclass
class Part:
    """A heading with the blocks between it and the next heading."""

    title: str
    level: int
    line: int
    annotations: dict[str, Value] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)

    @property
    def has_items(self) -> bool:
        """Return True if there are items directly below this heading."""
        return any(contains_task(node) for node in self.nodes)


@dataclass
class Chapter:
    """A phase: its heading and its sections. The first section may be the text below the phase's heading."""

    head: Part
    sections: list[Part] = field(default_factory=list)


@dataclass
class Outline:
    """The structure of a document."""

    title: str
    preface: list[Node]
    chapters: list[Chapter]


def outline(nodes: Sequence[Node], *, filename: str, problems: Collector) -> Outline:
    """Return title, phases and sections according to the heading levels that the document uses.

    The first heading is the title if it is the only one of level 1. The highest level of the other headings
    makes phases and the next one sections; deeper headings make sections whose titles include their parents'.
    """
    preface, parts = _parts(nodes, problems)
    title = _title_from(filename)
    if parts and _is_title(parts):
        head = parts.pop(0)
        title, preface = head.title, [*preface, *head.nodes]
        if head.annotations:
            problems.add(head.line, "The title can't have annotations; move them to the headings below it.")
    elif parts and parts[0].level == 1:
        title = parts[0].title
    chapters: list[Chapter] = []
    if any(contains_task(node) for node in preface):
        chapters.append(Chapter(Part(DEFAULT_TITLE, 0, preface[0].line), [_untitled(preface)]))
        preface = []
    return Outline(title, preface, [*chapters, *_chapters(parts)])


def _parts(nodes: Sequence[Node], problems: Collector) -> tuple[list[Node], list[Part]]:
    preface: list[Node] = []
    parts: list[Part] = []
    for node in nodes:
        if node.type == "heading":
            parts.append(_part(node, problems))
        else:
            (parts[-1].nodes if parts else preface).append(node)
    return preface, parts


def _part(node: Node, problems: Collector) -> Part:
    text, annotations = annotation.split(node.inline, node.line, problems) if node.inline else ("", {})
    title = heading_text(text)
    if not title:
        problems.add(node.line, "This heading has no text; add a text or remove it.")
    if len(title) > MAX_TITLE:
        problems.add(node.line, f"This heading is longer than {MAX_TITLE} characters; shorten it.")
    return Part(title, int(node.token.tag[1:]), node.line, annotations)


def _is_title(parts: Sequence[Part]) -> bool:
    first, *others = parts
    return first.level < min((part.level for part in others), default=7) and first.level == 1


def _title_from(filename: str) -> str:
    words = heading_text(" ".join(PurePath(filename).stem.replace("_", " ").replace("-", " ").split()))
    return words[:MAX_TITLE] or DEFAULT_TITLE


def _chapters(parts: Sequence[Part]) -> list[Chapter]:
    levels = sorted({part.level for part in parts})
    chapters: list[Chapter] = []
    above: list[Part] = []
    for part in parts:
        depth = levels.index(part.level)
        if depth == 0:
            chapters.append(Chapter(part, [_untitled(part.nodes)]))
            above = []
            continue
        if not chapters:
            chapters.append(Chapter(Part(DEFAULT_TITLE, 0, part.line)))
        above = [parent for parent in above if parent.level < part.level]
        _drop_empty_parent(chapters[-1], above)
        above.append(part)
        chapters[-1].sections.append(_with_path_title(above))
    return chapters


def _drop_empty_parent(chapter: Chapter, above: Sequence[Part]) -> None:
    """Drop a section that has only deeper headings: their titles include its title."""
    last = chapter.sections[-1] if chapter.sections else None
    if above and last and last.line == above[-1].line and not last.nodes and not last.annotations.get("gate"):
        chapter.sections.pop()


def _with_path_title(path: Sequence[Part]) -> Part:
    own = path[-1]
    inherited = {
        k: v for part in path[:-1] for k, v in part.annotations.items() if k in HEADING_KEYS and k != "gate"
    }
    annotations = inherited | own.annotations
    return Part(
        " › ".join(part.title for part in path)[:MAX_TITLE], own.level, own.line, annotations, own.nodes
    )


def _untitled(nodes: list[Node]) -> Part:
    return Part("", 0, nodes[0].line if nodes else 0, {}, nodes)
