"""Where to go back to after signing in, enrolling or giving a code: only to pages of this site."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.http import HttpRequest
from django.shortcuts import resolve_url
from django.utils.http import url_has_allowed_host_and_scheme

SAFE_METHODS = frozenset({"GET", "HEAD"})


def is_safe(request: HttpRequest, url: str) -> bool:
    """Whether an address stays on this site."""
    return url_has_allowed_host_and_scheme(
        url, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )


def requested(request: HttpRequest) -> str:
    """The `next` of the query or the form, where it is safe; else ""."""
    url = str(request.POST.get("next") or request.GET.get("next") or "")
    return url if is_safe(request, url) else ""


def destination(request: HttpRequest) -> str:
    """Where to go now: the safe `next`, else the first page."""
    return requested(request) or resolve_url(settings.LOGIN_REDIRECT_URL)


def page_of(request: HttpRequest) -> str:
    """The page that the person was on: for a press of a button the page that holds it, not its address."""
    if not getattr(request, "htmx", False) and request.method in SAFE_METHODS:
        return request.get_full_path()
    origin = request.headers.get("HX-Current-URL") or request.headers.get("Referer") or ""
    if not is_safe(request, origin):
        return ""
    parts = urlsplit(origin)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def with_next(url: str, following: str) -> str:
    """An address that carries where to go afterwards."""
    return f"{url}?{urlencode({'next': following})}" if following else url
