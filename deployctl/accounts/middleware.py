"""End sessions that are idle, too old or were ended remotely."""

from __future__ import annotations

from functools import partial

from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin

from deployctl.accounts.models import SignIn, User
from deployctl.accounts.models.sign_in import END_REASON_KEY, SESSION_KEY


class SessionLimitMiddleware(MiddlewareMixin):
    """The middleware that sets `request.sign_in` and signs people out whose session has ended.

    Streaming responses call `request.session_is_open()` to check whether the session is still open. Django
    itself doesn't authenticate disabled people; disabling them also ends their sessions.
    """

    def process_request(self, request: HttpRequest) -> None:
        """End or extend the session."""
        request.sign_in = None  # type: ignore[attr-defined]
        if not request.user.is_authenticated:
            return
        sign_in = _get_sign_in(request, request.user)
        reason = sign_in.end_reason()
        if reason:
            sign_in.end(reason)
            logout(request)
            # Stored in the new session, because a background update is often the first request after the end,
            # and the sign-in page should still show the reason.
            request.session[END_REASON_KEY] = reason
            return
        request.sign_in = sign_in  # type: ignore[attr-defined]
        request.session_is_open = partial(_session_is_open, sign_in.pk)  # type: ignore[attr-defined]
        if _is_activity(request):
            sign_in.touch()

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Keep pages of signed-in people out of caches, including the browser's."""
        if getattr(request, "sign_in", None) is not None and "Cache-Control" not in response:
            response["Cache-Control"] = "private, no-store"
        return response


def _get_sign_in(request: HttpRequest, user: User) -> SignIn:
    """Return the session's sign-in; create one for a session that didn't start at our sign-in page."""
    number = request.session.get(SESSION_KEY)
    found = SignIn.objects.filter(pk=number, user=user).first() if number else None
    return found or SignIn.objects.begin(request, user)


def _session_is_open(number: int) -> bool:
    return SignIn.objects.open().filter(pk=number, user__is_active=True).exists()


def _is_activity(request: HttpRequest) -> bool:
    """Return True if a person made this request, rather than a page that updates itself."""
    if request.method not in {"GET", "HEAD"}:
        return True
    is_page = "HX-Request" not in request.headers and "X-Live" not in request.headers
    return is_page and "text/event-stream" not in request.headers.get("Accept", "")
