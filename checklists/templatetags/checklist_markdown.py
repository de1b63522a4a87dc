"""Filters that show a checklist's Markdown and its words: `{{ item.text|inline_markdown }}`."""

from __future__ import annotations

from datetime import timedelta

from django import template
from django.utils.safestring import SafeString

from checklists.markdown import ROLE_LABELS, ParsedCommands, ParsedNote, block_html, inline_html
from checklists.models import Stage
from deployctl.text import pluralize

register = template.Library()

UNITS = {
    "week": timedelta(weeks=1),
    "day": timedelta(days=1),
    "hour": timedelta(hours=1),
    "minute": timedelta(minutes=1),
}


@register.filter
def inline_markdown(text: str) -> SafeString:
    """One line of Markdown; raw HTML in it is shown, not obeyed."""
    return SafeString(inline_html(str(text)))


@register.filter
def block_markdown(text: str) -> SafeString:
    """Paragraphs, lists and tables; raw HTML in them is shown, not obeyed."""
    return SafeString(block_html(str(text)))


@register.filter
def role_label(role: str) -> str:
    """A role as people write it."""
    return ROLE_LABELS.get(role, role)


@register.filter
def stage_label(stage: str) -> str:
    """A stage as people write it."""
    return str(Stage(stage).label)


@register.filter
def due_words(due: timedelta | None) -> str:
    """When something is due, relative to a window that is not known yet."""
    if due is None:
        return ""
    if not due:
        return "by the end of the window"
    unit, length = next((unit, length) for unit, length in UNITS.items() if not due % length)
    words = pluralize(abs(due) // length, unit)
    return f"{words} before the window" if due < timedelta() else f"within {words} after the window"


@register.filter
def block_kind(block: object) -> str:
    """Which of the four kinds of block this is, so that a page can choose how to show it."""
    if isinstance(block, ParsedNote):
        return "note"
    if isinstance(block, ParsedCommands):
        return "commands"
    return "slot" if hasattr(block, "gate") else "item"
