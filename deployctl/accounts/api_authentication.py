"""The policy for API views: an API token in the `Authorization` header.

    @require_safe
    @token_required
    def gate(request, number): ...

API views ignore sessions, which protects them from cross-site requests, and a token opens only API views.
Errors are JSON.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from django.core.cache import cache
from django.db import transaction
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from redis.exceptions import RedisError

from deployctl import audit
from deployctl.accounts.models import ApiToken
from deployctl.audit import Action, Machine
from deployctl.errors import DeployctlError, NotAllowed
from deployctl.web.errors import status_of

View = TypeVar("View", bound=Callable[..., Any])

API = Machine("API")
POLICY = "token"
# Limits: rejected tokens per IP address, and requests per token.
MAX_FAILURES, FAILURE_WINDOW_S = 20, 300
MAX_REQUESTS, REQUEST_WINDOW_S = 120, 60
# Query parameters in which people send tokens; these end up in logs and browser histories.
TOKEN_PARAMETERS = ("token", "access_token", "api_key", "authorization")


class _Rejected(Exception):
    """The request is rejected before or instead of the view."""

    def __init__(self, sentence: str, status: int, *, wait_s: int = 0) -> None:
        super().__init__(sentence)
        self.status = status
        self.wait_s = wait_s


def token_required(view: View) -> View:
    """Require a valid API token; the view checks the scope with `require_scope`."""

    @functools.wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            request.api_token = _authenticate(request)  # type: ignore[attr-defined]
            response = view(request, *args, **kwargs)
        except _Rejected as error:
            return _problem(str(error), error.status, wait_s=error.wait_s)
        except DeployctlError as error:
            return _problem(error.message, status_of(error))
        return cast("HttpResponseBase", response)

    guarded.policy = POLICY  # type: ignore[attr-defined]
    return cast("View", guarded)


def require_scope(request: HttpRequest, scope: str) -> None:
    """Check that the request's token has a scope.

    Raises:
        NotAllowed: the token lacks the scope.
    """
    token = cast("ApiToken", request.api_token)  # type: ignore[attr-defined]
    if not token.has_scope(scope):
        _audit_denial(request, token.prefix, f"lacks the scope {scope}")
        raise NotAllowed(f"This token lacks the scope {scope}. Ask an administrator for one that has it.")


def _authenticate(request: HttpRequest) -> ApiToken:
    if any(name in request.GET for name in TOKEN_PARAMETERS):
        raise _Rejected(
            "Don't send a token in the URL, because URLs end up in logs. Revoke this token, and send a new "
            "one in the header `Authorization: Bearer …`.",
            400,
        )
    address = request.META.get("REMOTE_ADDR", "")
    _enforce_limit(f"api-failures:{address}", MAX_FAILURES, FAILURE_WINDOW_S, count=False)
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        raise _Rejected("Send an API token in the header `Authorization: Bearer …`.", 401)
    token = ApiToken.objects.authenticate(text.strip())
    reason = token.invalid_reason if token else "This token isn't valid."
    if token is None or reason:
        _enforce_limit(f"api-failures:{address}", MAX_FAILURES, FAILURE_WINDOW_S)
        _audit_denial(request, token.prefix if token else "", reason)
        raise _Rejected(reason, 401)
    _enforce_limit(f"api-requests:{token.pk}", MAX_REQUESTS, REQUEST_WINDOW_S)
    token.touch()
    return token


def _enforce_limit(key: str, limit: int, seconds: int, *, count: bool = True) -> None:
    """Count a request, and reject it if there were more than `limit` within the window."""
    try:
        cache.add(key, 0, timeout=seconds)
        requests = cache.incr(key) if count else int(cache.get(key) or 0) + 1
    except ValueError:  # the key expired in between
        return
    except RedisError:
        raise _Rejected("Rate limits can't be checked at the moment. Try again in a minute.", 503) from None
    if requests > limit:
        raise _Rejected(f"Too many requests. Wait {seconds} s, then try again.", 429, wait_s=seconds)


def _audit_denial(request: HttpRequest, prefix: str, reason: str) -> None:
    data = {
        "prefix": prefix,
        "reason": reason,
        "path": request.path,
        "address": request.META.get("REMOTE_ADDR", ""),
    }
    with transaction.atomic():
        audit.append(Action.TOKEN_REJECTED, by=API, data=data)


def _problem(sentence: str, status: int, *, wait_s: int = 0) -> JsonResponse:
    response = JsonResponse({"error": sentence}, status=status)
    if status == 401:
        response["WWW-Authenticate"] = 'Bearer realm="deployctl"'
    if wait_s:
        response["Retry-After"] = str(wait_s)
    return response
