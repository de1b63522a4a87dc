"""Small helpers that every view may use: page or fragment, and where to go after a change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

SEE_OTHER = 303
# As many as every number of PostgreSQL's `bigint` fits in, and far from where Python refuses to count.
MOST_DIGITS = 18


class HttpResponseSeeOther(HttpResponseRedirect):
    """Go and GET another page, whatever method brought you here (RFC 9110, 15.4.4)."""

    status_code = SEE_OTHER


def wants_fragment(request: HttpRequest) -> bool:
    """Whether htmx asks for a part of a page; a boosted link or a restored history entry wants it whole."""
    htmx = cast("HtmxDetails | None", getattr(request, "htmx", None))
    return bool(htmx) and not (htmx.boosted or htmx.history_restore_request)  # type: ignore[union-attr]


def page_or_fragment(
    request: HttpRequest,
    page: str,
    fragment: str,
    context: Mapping[str, Any],
    *,
    status: int = 200,
) -> HttpResponse:
    """Render a whole page for a browser and only its part for htmx.

    Args:
        page: the template of the page, which includes `fragment`.
        fragment: the template of the part; one root element with a stable id.
        context: for both.
        status: 422 for a form with errors, 409 for a conflict.
    """
    response = render(
        request, fragment if wants_fragment(request) else page, context=dict(context), status=status
    )
    # Without it a cache, or the browser's own, would show the bare part when the user comes back.
    response["Vary"] = "HX-Request"
    return response


def see_other(request: HttpRequest, url: str) -> HttpResponse:
    """After a change, have the browser load another page.

    Args:
        url: a path, or anything `redirect` would take as a finished address.
    """
    if wants_fragment(request):
        # fetch() would follow a 303 by itself and swap a whole page into a part of this one.
        return HttpResponseClientRedirect(url)
    return HttpResponseSeeOther(url)


def posted(request: HttpRequest, name: str) -> str:
    """A text of a form, empty where the form does not have it."""
    return str(request.POST.get(name, ""))


def row_number(text: str | None) -> int:
    """The number of a row as an address or a form names it; 0, which no row has, for what can be none."""
    return int(text) if text and text.isdecimal() and len(text) <= MOST_DIGITS else 0
