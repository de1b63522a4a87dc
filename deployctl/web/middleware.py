"""What happens around every view: methods that forms lack, errors as answers, the viewer's time zone."""

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


# A stream of events would wait in the compressor; a backup is compressed, and its length is announced.
SENT_AS_IT_IS = ("text/event-stream", "application/x-tar")


class CompressionMiddleware(GZipMiddleware):
    """Compress pages; what is streamed is sent as it comes.

    The page of a whole checklist is 270 kB of much-alike rows, and 25 kB compressed. Django's middleware adds
    random bytes against BREACH, and its CSRF tokens are masked anew in every answer.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Compress, where that is of use.

        Not what an asynchronous view streams: Django makes of each piece a gzip file of its own, and browsers
        read the first one only, so that a download would silently lose its end.
        """
        if response.get("Content-Type", "").startswith(SENT_AS_IT_IS) or getattr(response, "is_async", False):
            return response
        compressed: HttpResponseBase = super().process_response(request, response)
        return compressed


class ResourcePolicyMiddleware(MiddlewareMixin):
    """Tell browsers that pages of other sites may embed nothing from here; static files are included."""

    def process_response(self, _request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Add the header, which Django has no setting for."""
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        return response


class RejectNulMiddleware(MiddlewareMixin):
    """Refuse addresses and forms that hold a NUL: PostgreSQL's text has none, and nobody types one.

    The answers are made here. Django logs a traceback with every `BadRequest`, and this is no defect of ours.
    """

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        """Answer 400 before something is looked up by a name that cannot be."""
        if "%00" in request.META.get("QUERY_STRING", "") or "\0" in request.path_info:
            return _not_with_a_nul(request)
        return None

    def process_view(self, request: HttpRequest, *_: object) -> HttpResponse | None:
        """Answer 400 before something is stored that cannot be; Django's CSRF check has read the form."""
        if request.method != "POST" or request.content_type not in FORMS:
            return None
        texts = (text for name, values in request.POST.lists() for text in (name, *values))
        return _not_with_a_nul(request) if any("\0" in str(text) for text in texts) else None


def _not_with_a_nul(request: HttpRequest) -> HttpResponse:
    return bad_request(request, BadRequest("It holds a NUL character."))


class MethodOverrideMiddleware(MiddlewareMixin):
    """Let a plain form say `_method=DELETE`: HTML forms know only GET and POST."""

    def process_view(self, request: HttpRequest, *_: object) -> None:
        """Take the method that the form names.

        Here and not in `process_request`: Django's CSRF check, which stands before, has run by now. It looks
        for its token in the form of a POST only.
        """
        if request.method != "POST" or request.content_type not in FORMS:
            return
        wanted = str(request.POST.get("_method", "")).upper()
        if wanted in OVERRIDES:
            request.method = wanted


class ErrorMiddleware(MiddlewareMixin):
    """Answer an error that has a sentence for the user with that sentence; everything else is a defect."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """The page or fragment for a `DeployctlError`."""
        if isinstance(exception, DeployctlError):
            return errors.answer(request, exception)
        return None

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """A page for whoever opens an address that only takes forms: a reload, a bookmark, a way back in.

        Django answers 405 with nothing at all, which browsers show as a failure of their own.
        """
        if response.status_code != 405 or request.method not in {"GET", "HEAD"}:
            return response
        page = errors.problem(
            request,
            "This address takes what a form sends and has no page of its own. Nothing was changed. "
            "Go back to the page you came from, or begin at the first page.",
            status=405,
        )
        page["Allow"] = response.get("Allow", "")
        return page


class TimezoneMiddleware(MiddlewareMixin):
    """Show times in the zone that the viewer chose in their account."""

    def process_request(self, request: HttpRequest) -> None:
        """Activate the zone for this request."""
        name = getattr(getattr(request, "user", None), "timezone", "")
        try:
            timezone.activate(zoneinfo.ZoneInfo(name))
        except (ValueError, zoneinfo.ZoneInfoNotFoundError):
            timezone.deactivate()

    def process_response(self, _request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Leave the thread as it was found."""
        timezone.deactivate()
        return response
