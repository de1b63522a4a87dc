"""From a checklist back to Markdown. What is written here reads as the same checklist again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from checklists.markdown.annotation import Value, write
from checklists.markdown.due_times import format_due
from checklists.markdown.gates import write_rules
from checklists.markdown.model import (
    Block,
    ItemKind,
    ParsedCommands,
    ParsedItem,
    ParsedNote,
    ParsedPhase,
    ParsedSection,
    ParsedSlot,
    ParsedTemplate,
    Stage,
)
from checklists.markdown.notes import fence, indent

# A comment without a word keeps two neighbouring lists apart; the parser drops it.
_SEPARATOR = "<!-- -->"
_SIGNATURE = "_________________ Date: _______"


@dataclass(frozen=True)
class _Around:
    """What holds where a block stands; a block says only what differs."""

    stage: Stage
    role: str
    due: timedelta | None


def render(template: ParsedTemplate) -> str:
    """Write a template as Markdown with annotations.

    Parsing the result gives an equal template, and rendering that gives the same text.
    """
    parts = [f"# {template.title}", *_blocks(template.notes, _Around(Stage.REFERENCE, "", None))]
    for phase in template.phases:
        parts.append(f"## {phase.title}{write(_phase_says(phase))}")
        for sections in _under_one_heading(phase.sections):
            head = sections[0]
            if head.title:
                parts.append(f"### {head.title}{write(_section_says(head, phase))}")
            blocks = [block for section in sections for block in section.blocks]
            # a first part without a heading may have been empty, and then is not there
            stage = phase.stage if not head.title else head.stage
            parts += _blocks(blocks, _Around(stage, head.role, head.due))
    return "\n\n".join(parts) + "\n"


def _under_one_heading(sections: Sequence[ParsedSection]) -> list[list[ParsedSection]]:
    groups: list[list[ParsedSection]] = []
    for section in sections:
        if section.continued and groups:
            groups[-1].append(section)
        else:
            groups.append([section])
    return groups


def _phase_says(phase: ParsedPhase) -> dict[str, Value]:
    said: dict[str, Value] = {"stage": phase.stage.value}
    return said | _heading_says(phase.due, phase.role, phase.routine, phase.gate) | write_rules(phase.rules)


def _section_says(section: ParsedSection, phase: ParsedPhase) -> dict[str, Value]:
    said: dict[str, Value] = {} if section.stage == phase.stage else {"stage": section.stage.value}
    said |= _heading_says(
        None if section.due == phase.due else section.due,
        "" if section.role == phase.role else section.role,
        None if section.routine == phase.routine else section.routine,
        section.gate,
    )
    return said | write_rules(section.rules)


def _heading_says(
    due: timedelta | None, role: str, routine: str | None, gate: str | None
) -> dict[str, Value]:
    said: dict[str, Value] = {}
    if due is not None:
        said["due"] = format_due(due)
    if role:
        said["role"] = role
    if routine:
        said["routine"] = str(routine)
    if gate:
        said["gate"] = str(gate)
    return said


def _blocks(blocks: Sequence[Block], around: _Around) -> list[str]:
    """Each block as text; neighbouring items and signature lines make one tight list."""
    written: list[str] = []
    previous: Block | None = None
    for block in blocks:
        text = _block(block, around)
        if _continues_list(previous, block):
            written[-1] += f"\n{text}"
        else:
            if previous and _is_list(previous) and _is_list(block):
                written.append(_SEPARATOR)
            written.append(text)
        previous = block
    return written


def _block(block: Block, around: _Around) -> str:
    match block:
        case ParsedItem():
            return _item(block, around)
        case ParsedSlot():
            said: dict[str, Value] = {"sign": block.gate.value, "role": block.role}
            if block.quorum > 1:
                said["quorum"] = block.quorum
            return f"- [ ] {block.label}: {_SIGNATURE}{write(said)}"
        case ParsedCommands():
            return fence(block.source, block.language)
        case ParsedNote():
            return block.text


def _item(item: ParsedItem, around: _Around) -> str:
    text = f"- [ ] {item.text}{write(_item_says(item, around))}"
    inside = _Around(item.stage, item.role, item.due)
    notes, children = _blocks(item.notes, inside), _blocks(item.children, inside)
    if notes:
        if children and _is_list(item.notes[-1]):
            notes.append(_SEPARATOR)
        return "\n\n".join([text, *(indent(part, 2) for part in (*notes, *children))])
    return "\n".join([text, *(indent(child, 2) for child in children)])


def _item_says(item: ParsedItem, around: _Around) -> dict[str, Value]:
    said: dict[str, Value] = {}
    if item.kind is ItemKind.OPERATION:
        said["operation"] = item.operation
    if item.kind is ItemKind.CHECK:
        said["check"] = item.check
    said |= item.params
    if item.stage != around.stage:
        said["stage"] = item.stage.value
    if item.role != around.role:
        said["role"] = item.role
    if item.due != around.due and item.due is not None:
        said["due"] = format_due(item.due)
    if item.evidence:
        said["evidence"] = True
    return said


def _continues_list(previous: Block | None, block: Block) -> bool:
    both = isinstance(previous, ParsedItem | ParsedSlot) and isinstance(block, ParsedItem | ParsedSlot)
    return both and not (isinstance(previous, ParsedItem) and previous.notes)


def _is_list(block: Block) -> bool:
    if isinstance(block, ParsedNote):
        return block.text[:1].isdigit() or block.text[:1] in "-*+"
    return isinstance(block, ParsedItem | ParsedSlot)
