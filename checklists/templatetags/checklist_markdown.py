"""Template filters for a checklist's Markdown, roles, stages and due times."""

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
    """Render one line of Markdown; raw HTML is escaped."""
    return SafeString(inline_html(str(text)))


@register.filter
def block_markdown(text: str) -> SafeString:
    """Render paragraphs, lists and tables; raw HTML is escaped."""
    return SafeString(block_html(str(text)))


@register.filter
def role_label(role: str) -> str:
    """Return the label of a role."""
    return ROLE_LABELS.get(role, role)


@register.filter
def stage_label(stage: str) -> str:
    """Return the label of a stage."""
    return str(Stage(stage).label)


@register.filter
def due_phrase(due: timedelta | None) -> str:
    """Describe a due time relative to the window, such as “2 hours before the window”."""
    if due is None:
        return ""
    if not due:
        return "by the end of the window"
    unit, length = next((unit, length) for unit, length in UNITS.items() if not due % length)
    amount = pluralize(abs(due) // length, unit)
    return f"{amount} before the window" if due < timedelta() else f"within {amount} after the window"


@register.filter
def block_kind(block: object) -> str:
    """Return “note”, “commands”, “slot” or “item”."""
    if isinstance(block, ParsedNote):
        return "note"
    if isinstance(block, ParsedCommands):
        return "commands"
    return "slot" if hasattr(block, "gate") else "item"
