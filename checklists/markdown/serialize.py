"""Serialize a parsed template to JSON-compatible data."""

from __future__ import annotations

from typing import Any

from checklists.markdown.due_times import format_due
from checklists.markdown.model import (
    Block,
    ParsedCommands,
    ParsedItem,
    ParsedNote,
    ParsedPhase,
    ParsedSection,
    ParsedSlot,
    ParsedTemplate,
)


def as_dict(template: ParsedTemplate) -> dict[str, Any]:
    """Return the template as JSON-compatible data, with the counts at the top."""
    return {
        "title": template.title,
        "counts": {
            "items": sum(1 for _ in template.walk_items()),
            "signatures": len(template.slots),
            "phases": len(template.phases),
        },
        "notes": [_block(note) for note in template.notes],
        "phases": [_phase(phase) for phase in template.phases],
        "gates": [
            {"key": gate.key, "title": gate.title, "slots": [_block(slot) for slot in gate.slots]}
            for gate in template.gates
        ],
        "contacts": [vars(contact) for contact in template.contacts],
        "severities": [vars(severity) for severity in template.severities],
        "success_criteria": [item.key for item in template.success_criteria],
        "routines": {routine: [item.key for item in items] for routine, items in template.routines.items()},
    }


def _phase(phase: ParsedPhase) -> dict[str, Any]:
    return _heading(phase) | {"sections": [_section(section) for section in phase.sections]}


def _section(section: ParsedSection) -> dict[str, Any]:
    blocks = {
        "items": [_block(item) for item in section.items],
        "slots": [_block(slot) for slot in section.slots],
        "commands": [_block(commands) for commands in section.commands],
        "notes": [_block(note) for note in section.notes],
    }
    facts = _heading(section) | {"continued": section.continued}
    return facts | {name: found for name, found in blocks.items() if found or name == "items"}


def _heading(heading: ParsedPhase | ParsedSection) -> dict[str, Any]:
    return {
        "key": heading.key,
        "title": heading.title,
        "stage": heading.stage,
        "due": format_due(heading.due) if heading.due is not None else None,
        "role": heading.role or None,
        "routine": heading.routine,
        "gate": heading.gate,
        "line": heading.line,
    }


def _block(block: Block) -> dict[str, Any]:
    match block:
        case ParsedItem():
            return _item(block)
        case ParsedSlot():
            return {"gate": block.gate, "role": block.role, "label": block.label, "line": block.line}
        case ParsedCommands():
            return {"source": block.source, "language": block.language, "line": block.line}
        case ParsedNote():
            return {"text": block.text, "line": block.line}


def _item(item: ParsedItem) -> dict[str, Any]:
    return {
        "key": item.key,
        "text": item.text,
        "line": item.line,
        "stage": item.stage,
        "kind": item.kind,
        "operation": item.operation or None,
        "check": item.check or None,
        "params": dict(item.params),
        "role": item.role or None,
        "due": format_due(item.due) if item.due is not None else None,
        "evidence": item.evidence,
        "notes": [_block(note) for note in item.notes],
        "children": [_item(child) for child in item.children],
    }
