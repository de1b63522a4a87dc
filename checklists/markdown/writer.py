"""Write a parsed template as Markdown; parsing the result gives an equal template."""

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

# An empty comment separates two adjacent lists; the parser ignores it.
_SEPARATOR = "<!-- -->"
_SIGNATURE = "_________________ Date: _______"


@dataclass(frozen=True)
class _Inherited:
    """The properties that a block inherits; its annotation lists only differences."""

    stage: Stage
    role: str
    due: timedelta | None


def render(template: ParsedTemplate) -> str:
    """Return the template as canonical Markdown with annotations.

    Parsing the result gives an equal template, and rendering that gives the same text.
    """
    parts = [f"# {template.title}", *_blocks(template.notes, _Inherited(Stage.REFERENCE, "", None))]
    for phase in template.phases:
        parts.append(f"## {phase.title}{write(_phase_values(phase))}")
        for sections in _under_one_heading(phase.sections):
            head = sections[0]
            if head.title:
                parts.append(f"### {head.title}{write(_section_values(head, phase))}")
            blocks = [block for section in sections for block in section.blocks]
            # an empty first section without a heading was dropped, so the head may be a continued one
            stage = phase.stage if not head.title else head.stage
            parts += _blocks(blocks, _Inherited(stage, head.role, head.due))
    return "\n\n".join(parts) + "\n"


def _under_one_heading(sections: Sequence[ParsedSection]) -> list[list[ParsedSection]]:
    groups: list[list[ParsedSection]] = []
    for section in sections:
        if section.continued and groups:
            groups[-1].append(section)
        else:
            groups.append([section])
    return groups


def _phase_values(phase: ParsedPhase) -> dict[str, Value]:
    values: dict[str, Value] = {"stage": phase.stage.value}
    return (
        values | _heading_values(phase.due, phase.role, phase.routine, phase.gate) | write_rules(phase.rules)
    )


def _section_values(section: ParsedSection, phase: ParsedPhase) -> dict[str, Value]:
    values: dict[str, Value] = {} if section.stage == phase.stage else {"stage": section.stage.value}
    values |= _heading_values(
        None if section.due == phase.due else section.due,
        "" if section.role == phase.role else section.role,
        None if section.routine == phase.routine else section.routine,
        section.gate,
    )
    return values | write_rules(section.rules)


def _heading_values(
    due: timedelta | None, role: str, routine: str | None, gate: str | None
) -> dict[str, Value]:
    values: dict[str, Value] = {}
    if due is not None:
        values["due"] = format_due(due)
    if role:
        values["role"] = role
    if routine:
        values["routine"] = str(routine)
    if gate:
        values["gate"] = str(gate)
    return values


def _blocks(blocks: Sequence[Block], inherited: _Inherited) -> list[str]:
    """Return each block as text; adjacent items and signature lines form one tight list."""
    written: list[str] = []
    previous: Block | None = None
    for block in blocks:
        text = _block(block, inherited)
        if _continues_list(previous, block):
            written[-1] += f"\n{text}"
        else:
            if previous and _is_list(previous) and _is_list(block):
                written.append(_SEPARATOR)
            written.append(text)
        previous = block
    return written


def _block(block: Block, inherited: _Inherited) -> str:
    match block:
        case ParsedItem():
            return _item(block, inherited)
        case ParsedSlot():
            values: dict[str, Value] = {"sign": block.gate.value, "role": block.role}
            if block.quorum > 1:
                values["quorum"] = block.quorum
            return f"- [ ] {block.label}: {_SIGNATURE}{write(values)}"
        case ParsedCommands():
            return fence(block.source, block.language)
        case ParsedNote():
            return block.text


def _item(item: ParsedItem, inherited: _Inherited) -> str:
    text = f"- [ ] {item.text}{write(_item_values(item, inherited))}"
    inside = _Inherited(item.stage, item.role, item.due)
    notes, children = _blocks(item.notes, inside), _blocks(item.children, inside)
    if notes:
        if children and _is_list(item.notes[-1]):
            notes.append(_SEPARATOR)
        return "\n\n".join([text, *(indent(part, 2) for part in (*notes, *children))])
    return "\n".join([text, *(indent(child, 2) for child in children)])


def _item_values(item: ParsedItem, inherited: _Inherited) -> dict[str, Value]:
    values: dict[str, Value] = {}
    if item.kind is ItemKind.OPERATION:
        values["operation"] = item.operation
    if item.kind is ItemKind.CHECK:
        values["check"] = item.check
    values |= item.params
    if item.stage != inherited.stage:
        values["stage"] = item.stage.value
    if item.role != inherited.role:
        values["role"] = item.role
    if item.due != inherited.due and item.due is not None:
        values["due"] = format_due(item.due)
    if item.evidence:
        values["evidence"] = True
    return values


def _continues_list(previous: Block | None, block: Block) -> bool:
    both = isinstance(previous, ParsedItem | ParsedSlot) and isinstance(block, ParsedItem | ParsedSlot)
    return both and not (isinstance(previous, ParsedItem) and previous.notes)


def _is_list(block: Block) -> bool:
    if isinstance(block, ParsedNote):
        return block.text[:1].isdigit() or block.text[:1] in "-*+"
    return isinstance(block, ParsedItem | ParsedSlot)
