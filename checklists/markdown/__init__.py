"""The template language: checklists as Markdown task lists with annotations. Independent of Django."""

from checklists.markdown.decoding import MAX_BYTES, decode, read_file
from checklists.markdown.document import strip_markup
from checklists.markdown.due_times import due_at, format_due, parse_due
from checklists.markdown.errors import Problem, TemplateErrors
from checklists.markdown.html import block_html, inline_html
from checklists.markdown.model import (
    Block,
    GateKey,
    GateRules,
    ItemKind,
    ParsedCommands,
    ParsedContact,
    ParsedGate,
    ParsedItem,
    ParsedNote,
    ParsedPhase,
    ParsedSection,
    ParsedSeverity,
    ParsedSlot,
    ParsedTemplate,
    Routine,
    Stage,
)
from checklists.markdown.parser import parse
from checklists.markdown.vocabulary import ROLE_LABELS
from checklists.markdown.warnings import template_warnings
from checklists.markdown.writer import render

__all__ = [
    "MAX_BYTES",
    "ROLE_LABELS",
    "Block",
    "GateKey",
    "GateRules",
    "ItemKind",
    "ParsedCommands",
    "ParsedContact",
    "ParsedGate",
    "ParsedItem",
    "ParsedNote",
    "ParsedPhase",
    "ParsedSection",
    "ParsedSeverity",
    "ParsedSlot",
    "ParsedTemplate",
    "Problem",
    "Routine",
    "Stage",
    "TemplateErrors",
    "block_html",
    "decode",
    "due_at",
    "format_due",
    "inline_html",
    "parse",
    "parse_due",
    "read_file",
    "render",
    "strip_markup",
    "template_warnings",
]
