"""Middleware: compression, headers, NUL characters, method override, errors and time zone."""

from __future__ import annotations

import zoneinfo

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.utils import timezone
from django.utils.deprecation import MiddlewareMixin
from django.views.defaults import bad_request

from deployctl.errors import DeployctlError
from deployctl.web import errors

OVERRIDES = frozenset({"PUT", "PATCH", "DELETE"})
FORMS = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})


# The compressor would delay events. Backups are already compressed, and their length is announced.
UNCOMPRESSED_TYPES = ("text/event-stream", "application/x-tar")


class CompressionMiddleware(GZipMiddleware):
    """Compress pages, but not streamed responses.

    The page of a whole checklist has 270 kB of similar rows, and 25 kB compressed. Against BREACH, Django's
    middleware adds random bytes, and Django masks CSRF tokens differently in every response.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Compress the response, unless it is streamed by an asynchronous view or excluded by its type.

        Django would compress each piece of an asynchronous stream as a separate gzip file. Browsers read only
        the first of them, so a download would silently be truncated.
        """
        if response.get("Content-Type", "").startswith(UNCOMPRESSED_TYPES) or getattr(
            response, "is_async", False
        ):
            return response
        compressed: HttpResponseBase = super().process_response(request, response)
        return compressed


class ResourcePolicyMiddleware(MiddlewareMixin):
    """Forbid pages of other sites to embed our resources, including static files."""

    def process_response(self, _request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Add the header, for which Django has no setting."""
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        return response


class RejectNulMiddleware(MiddlewareMixin):
    """Reject URLs and forms that contain a NUL character, which PostgreSQL cannot store as text.

    The response is made here, because Django logs a traceback for every `BadRequest`.
    """

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        """Return 400 if the URL contains a NUL."""
        if "%00" in request.META.get("QUERY_STRING", "") or "\0" in request.path_info:
            return _reject_nul(request)
        return None

    def process_view(self, request: HttpRequest, *_: object) -> HttpResponse | None:
        """Return 400 if the form contains a NUL. Django's CSRF check has already read the form."""
        if request.method != "POST" or request.content_type not in FORMS:
            return None
        texts = (text for name, values in request.POST.lists() for text in (name, *values))
        return _reject_nul(request) if any("\0" in str(text) for text in texts) else None


def _reject_nul(request: HttpRequest) -> HttpResponse:
    return bad_request(request, BadRequest("The request contains a NUL character."))


class MethodOverrideMiddleware(MiddlewareMixin):
    """Set the method from a form's `_method` field, because HTML forms support only GET and POST."""

    def process_view(self, request: HttpRequest, *_: object) -> None:
        """Replace the method of the request.

        Not in `process_request`: Django's CSRF check must run first, because it reads the token only from
        the form of a POST.
        """
        if request.method != "POST" or request.content_type not in FORMS:
            return
        method = str(request.POST.get("_method", "")).upper()
        if method in OVERRIDES:
            request.method = method


class ErrorMiddleware(MiddlewareMixin):
    """Show a `DeployctlError` to the user; other exceptions are internal errors and become a 500."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Return a page or fragment for a `DeployctlError`."""
        if isinstance(exception, DeployctlError):
            return errors.error_response(request, exception)
        return None

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Return a page for a GET of a URL that only accepts forms, such as a reload or a bookmark.

        Django's 405 response is empty, and browsers show that as an error of the site.
        """
        if response.status_code != 405 or request.method not in {"GET", "HEAD"}:
            return response
        page = errors.problem_response(
            request,
            "This URL only accepts form submissions. Nothing was changed. Go back to the previous page or to "
            "Home.",
            status=405,
        )
        page["Allow"] = response.get("Allow", "")
        return page


class TimezoneMiddleware(MiddlewareMixin):
    """Show times in the time zone of the user's account."""

    def process_request(self, request: HttpRequest) -> None:
        """Activate the time zone for this request."""
        name = getattr(getattr(request, "user", None), "timezone", "")
        try:
            timezone.activate(zoneinfo.ZoneInfo(name))
        except (ValueError, zoneinfo.ZoneInfoNotFoundError):
            timezone.deactivate()

    def process_response(self, _request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Reset the time zone of the thread."""
        timezone.deactivate()
        return response
