"""The `next` parameter: the page to return to after signing in, enrolling or a step-up."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.http import HttpRequest
from django.shortcuts import resolve_url
from django.utils.http import url_has_allowed_host_and_scheme

SAFE_METHODS = frozenset({"GET", "HEAD"})


def is_safe(request: HttpRequest, url: str) -> bool:
    """Return True if a URL stays on this site."""
    return url_has_allowed_host_and_scheme(
        url, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )


def requested(request: HttpRequest) -> str:
    """Return the `next` parameter of the query or the form if it is safe, else ""."""
    url = str(request.POST.get("next") or request.GET.get("next") or "")
    return url if is_safe(request, url) else ""


def destination(request: HttpRequest) -> str:
    """Return the safe `next` parameter, else the start page."""
    return requested(request) or resolve_url(settings.LOGIN_REDIRECT_URL)


def current_page(request: HttpRequest) -> str:
    """Return the page that the person is on; for a submitted form, the page that contains it."""
    if not getattr(request, "htmx", False) and request.method in SAFE_METHODS:
        return request.get_full_path()
    origin = request.headers.get("HX-Current-URL") or request.headers.get("Referer") or ""
    if not is_safe(request, origin):
        return ""
    parts = urlsplit(origin)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def with_next(url: str, next_page: str) -> str:
    """Return a URL with a `next` parameter."""
    return f"{url}?{urlencode({'next': next_page})}" if next_page else url
