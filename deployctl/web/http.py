"""Helpers for views: render a page or a fragment, redirect, and read parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

SEE_OTHER = 303
# Numbers with this many digits fit into PostgreSQL's `bigint`.
MAX_DIGITS = 18


class HttpResponseSeeOther(HttpResponseRedirect):
    """A redirect that is always followed with GET (RFC 9110, 15.4.4)."""

    status_code = SEE_OTHER


def wants_fragment(request: HttpRequest) -> bool:
    """Return True if htmx requests a fragment; boosted links and restored history need whole pages."""
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
    """Render a whole page for a browser, or only a fragment of it for htmx.

    Args:
        page: the template of the page, which includes `fragment`.
        fragment: the template of the fragment; one root element with a stable id.
        context: for both.
        status: 422 for a form with errors, 409 for a conflict.
    """
    response = render(
        request, fragment if wants_fragment(request) else page, context=dict(context), status=status
    )
    # Otherwise a cache could return the fragment as the page, for example after "Back" in a browser.
    response["Vary"] = "HX-Request"
    return response


def see_other(request: HttpRequest, url: str) -> HttpResponse:
    """Redirect the browser to another page after a change.

    Args:
        url: a path or an absolute URL.
    """
    if wants_fragment(request):
        # fetch() follows a 303, and htmx would swap the whole page into a fragment.
        return HttpResponseClientRedirect(url)
    return HttpResponseSeeOther(url)


def posted(request: HttpRequest, name: str) -> str:
    """Return a field of the submitted form, "" if it is missing."""
    return str(request.POST.get(name, ""))


def row_number(text: str | None) -> int:
    """Return a row's number from a URL or a form; 0, which no row has, if the text isn't a valid number."""
    return int(text) if text and text.isdecimal() and len(text) <= MAX_DIGITS else 0
