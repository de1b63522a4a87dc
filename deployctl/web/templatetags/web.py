"""Template tags and filters for icons, badges, times, sizes, durations and form fields."""

from __future__ import annotations

import datetime as dt
import json
from functools import lru_cache
from typing import NamedTuple

from django import template
from django.forms import BoundField
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from heroicons.templatetags.heroicons import heroicon_mini

from deployctl.text import pluralize
from deployctl.web.templatetags.statuses import appearance

register = template.Library()

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


class RelativeTime(NamedTuple):
    """The text for a time less than `below` seconds away, counted in units of `unit` seconds."""

    below: int
    unit: int
    past: str
    future: str


# Nearest first. Pages contain this list (`relative_times`) for static/js/app.js.
RELATIVE_TIMES = (
    RelativeTime(45, 1, "just now", "in a moment"),
    RelativeTime(_HOUR, _MINUTE, "{} min ago", "in {} min"),
    RelativeTime(_DAY, _HOUR, "{} h ago", "in {} h"),
)


# A page of 170 items shows hundreds of icons of about 30 kinds; rendering one takes about 50 µs.
@lru_cache(maxsize=256)
def _draw_icon(name: str, size: int) -> SafeString:
    return SafeString(
        heroicon_mini(name, size=size, aria_hidden="true", focusable="false", **{"class": "icon"})
    )


@register.simple_tag
def icon(name: str, size: int = 16) -> SafeString:
    """Render an icon that screen readers ignore; put a word beside it, visible or `.visually-hidden`.

    Args:
        name: a heroicon of the mini style, such as `check`.
        size: width and height in CSS pixels.
    """
    return _draw_icon(str(name), size)


@register.simple_tag
def badge(status: str, label: str = "") -> SafeString:
    """Render a status with its icon, word and colour.

    Args:
        status: the stored value, such as `signed_off`.
        label: a word that replaces the status's own.
    """
    shown = appearance(str(status))
    return format_html(
        '<span class="badge" data-status="{}">{}{}</span>',
        status,
        _draw_icon(shown.icon, 16),
        label or shown.word,
    )


@register.inclusion_tag("web/_nav_link.html", takes_context=True)
def nav_link(context: template.Context, view_name: str, label: str, icon_name: str) -> dict[str, object]:
    """Render a link of the main navigation, marked if the current page is below it.

    Args:
        view_name: such as `runs:targets`.
        label: the text of the link.
        icon_name: the icon that is shown if the navigation is a menu.
    """
    address = reverse(view_name)
    request: HttpRequest | None = context.get("request")
    path = request.path if request else ""
    is_current = path.startswith(address) if address != "/" else path == "/"
    return {"address": address, "label": label, "icon_name": icon_name, "current": is_current}


@register.inclusion_tag("web/_field.html")
def field(bound_field: BoundField, label: str = "") -> dict[str, object]:
    """Render a form field with its label, help text and errors, linked for screen readers.

    Args:
        bound_field: a field of a form, such as `form.email`.
        label: a label that replaces the form's own.
    """
    is_checkbox = (
        not bound_field.use_fieldset and getattr(bound_field.field.widget, "input_type", "") == "checkbox"
    )
    return {
        "field": bound_field,
        "label": label or bound_field.label,
        "is_checkbox": is_checkbox,
    }


@register.simple_tag
def when(moment: dt.datetime | None, exact: bool = False) -> SafeString:  # noqa: FBT001 - reads well in a template
    """Render a time in words, in the viewer's time zone, with the exact time on hover.

    Args:
        moment: an aware datetime, or None for "not yet".
        exact: show the date and time even if it is less than a day away.
    """
    if moment is None:
        return SafeString('<span class="muted">not yet</span>')
    local = timezone.localtime(moment)
    text = "" if exact else _relative(moment - timezone.now())
    return format_html(
        '<time datetime="{}" title="{}"{}>{}</time>',
        local.isoformat(timespec="seconds"),
        local.strftime("%A %-d %B %Y, %H:%M:%S %Z"),
        "" if exact else SafeString(" data-relative"),  # static/js/app.js updates it
        text or _absolute(local),
    )


@register.simple_tag
def relative_times() -> str:
    """Return `RELATIVE_TIMES` as JSON, for the script that updates times while a page is open."""
    return json.dumps([step._asdict() for step in RELATIVE_TIMES])


def _relative(distance: dt.timedelta) -> str:
    """Return a text for a distance of less than a day, else ""."""
    seconds = distance.total_seconds()
    for step in RELATIVE_TIMES:
        if abs(seconds) < step.below:
            text = step.past if seconds <= 0 else step.future
            return text.format(max(1, round(abs(seconds) / step.unit)))
    return ""


def _absolute(local: dt.datetime) -> str:
    this_year = local.year == timezone.localtime().year
    return local.strftime("%-d %b, %H:%M" if this_year else "%-d %b %Y, %H:%M")


@register.filter(name="bytes")
def bytes_(size: float | None) -> str:
    """Return a size in PostgreSQL's units: 1 kB is 1024 bytes, as in `pg_size_pretty`."""
    if size is None:
        return "—"
    number = float(size)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(number) < 1024 or unit == "TB":
            break
        number /= 1024
    digits = 0 if unit == "B" or abs(number) >= 100 else 1
    return f"{number:.{digits}f} {unit}"


@register.filter
def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `{{ files|length|counted:"file" }}`."""
    return pluralize(number, noun)


@register.filter
def in_units(number: int, units: str) -> str:
    """Return a number with the unit of a progress, which is stored in the plural: `rows`, `tables`."""
    return pluralize(number, units.removesuffix("s"), units)


@register.filter
def duration(length: dt.timedelta | float | None) -> str:
    """Return a duration in words, with at most two units.

    Args:
        length: seconds or a timedelta.
    """
    if length is None:
        return "—"
    seconds = length.total_seconds() if isinstance(length, dt.timedelta) else float(length)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02d} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02d} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


@register.simple_tag(takes_context=True)
def with_query(context: template.Context, **changes: object) -> str:
    """Return the page's query string with some parameters changed; an empty value removes one.

    Used by filters and page numbers, so the URL keeps all parameters of the view.
    """
    query = context["request"].GET.copy()
    for name, value in changes.items():
        if value in ("", None):
            query.pop(name, None)
        else:
            query[name] = str(value)
    return f"?{query.urlencode()}"
