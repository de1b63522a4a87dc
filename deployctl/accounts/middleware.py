"""Sessions end: after idling, after their longest time, and when they were ended from elsewhere."""

from __future__ import annotations

from functools import partial

from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin

from deployctl.accounts.models import SignIn, User
from deployctl.accounts.models.sign_in import ENDED_KEY, SESSION_KEY


class SessionLimitMiddleware(MiddlewareMixin):
    """Puts `request.sign_in` on every request of a person, and signs out whose stay is over.

    `request.session_is_open()` asks later, in an answer that lasts, whether the stay still goes on.

    A disabled person is nobody to Django's authentication already; their stays are ended as well.
    """

    def process_request(self, request: HttpRequest) -> None:
        """End or extend the stay."""
        request.sign_in = None  # type: ignore[attr-defined]
        if not request.user.is_authenticated:
            return
        sign_in = _sign_in_of(request, request.user)
        because = sign_in.end_reason()
        if because:
            sign_in.end(because)
            logout(request)
            # In the new, empty session: often a page that keeps itself up to date finds it out first, and
            # the person should still be told why on the page where they sign in again.
            request.session[ENDED_KEY] = because
            return
        request.sign_in = sign_in  # type: ignore[attr-defined]
        request.session_is_open = partial(_session_is_open, sign_in.pk)  # type: ignore[attr-defined]
        if _is_activity(request):
            sign_in.touch()

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Keep pages of signed-in people out of caches, the browser's included."""
        if getattr(request, "sign_in", None) is not None and "Cache-Control" not in response:
            response["Cache-Control"] = "private, no-store"
        return response


def _sign_in_of(request: HttpRequest, user: User) -> SignIn:
    """The stay that this session belongs to; a session that did not come by our sign-in begins one now."""
    number = request.session.get(SESSION_KEY)
    found = SignIn.objects.filter(pk=number, user=user).first() if number else None
    return found or SignIn.objects.begin(request, user)


def _session_is_open(number: int) -> bool:
    """Whether a stay has not ended since; for answers that last."""
    return SignIn.objects.open().filter(pk=number, user__is_active=True).exists()


def _is_activity(request: HttpRequest) -> bool:
    """Whether a person did this, rather than a page that keeps itself up to date."""
    if request.method not in {"GET", "HEAD"}:
        return True
    is_page = "HX-Request" not in request.headers and "X-Live" not in request.headers
    return is_page and "text/event-stream" not in request.headers.get("Accept", "")
