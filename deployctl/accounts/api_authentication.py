"""The policy of addresses for programs: an API token in the `Authorization` header, and nothing else.

    @require_safe
    @token
    def gate(request, number): ...

A signed-in session does not open them, so that no page of another site can ask in a visitor's name; and a
token opens nothing but these. Answers are JSON.
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
# Wrong tokens per address, and questions per token.
MOST_REFUSALS, REFUSALS_S = 20, 300
MOST_QUESTIONS, QUESTIONS_S = 120, 60
# Where people put tokens that then stand in logs and histories.
IN_QUERY = ("token", "access_token", "api_key", "authorization")


class _Refused(Exception):
    """The answer instead of the view's."""

    def __init__(self, sentence: str, status: int, *, wait_s: int = 0) -> None:
        super().__init__(sentence)
        self.status = status
        self.wait_s = wait_s


def token(view: View) -> View:
    """Whoever shows a token that works; the view asks for the scope by `require`."""

    @functools.wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            request.api_token = _authenticate(request)  # type: ignore[attr-defined]
            answer = view(request, *args, **kwargs)
        except _Refused as refused:
            return _problem(str(refused), refused.status, wait_s=refused.wait_s)
        except DeployctlError as error:
            return _problem(error.message, status_of(error))
        return cast("HttpResponseBase", answer)

    guarded.policy = POLICY  # type: ignore[attr-defined]
    return cast("View", guarded)


def require(request: HttpRequest, scope: str) -> None:
    """Refuse a token that was not made for this.

    Raises:
        NotAllowed: with the scope that is missing.
    """
    shown = cast("ApiToken", request.api_token)  # type: ignore[attr-defined]
    if not shown.may(scope):
        _audit_denial(request, shown.prefix, f"lacks the scope {scope}")
        raise NotAllowed(f"This token lacks the scope {scope}. An administrator can make one that has it.")


def _authenticate(request: HttpRequest) -> ApiToken:
    if any(name in request.GET for name in IN_QUERY):
        raise _Refused(
            "A token does not belong into an address, where logs keep it. Revoke it, and send the new one in "
            "the header `Authorization: Bearer …`.",
            400,
        )
    address = request.META.get("REMOTE_ADDR", "")
    _refuse_beyond(f"api-refused:{address}", MOST_REFUSALS, REFUSALS_S, count=False)
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        raise _Refused("Send an API token in the header `Authorization: Bearer …`.", 401)
    found = ApiToken.objects.known(text.strip())
    reason = found.refusal if found else "This token is not known here."
    if found is None or reason:
        _refuse_beyond(f"api-refused:{address}", MOST_REFUSALS, REFUSALS_S)
        _audit_denial(request, found.prefix if found else "", reason)
        raise _Refused(reason, 401)
    _refuse_beyond(f"api-asked:{found.pk}", MOST_QUESTIONS, QUESTIONS_S)
    found.touch()
    return found


def _refuse_beyond(key: str, most: int, seconds: int, *, count: bool = True) -> None:
    """Count up, and refuse once it is too often within some seconds."""
    try:
        cache.add(key, 0, timeout=seconds)
        asked = cache.incr(key) if count else int(cache.get(key) or 0) + 1
    except ValueError:  # it expired in between
        return
    except RedisError:
        raise _Refused("Attempts cannot be counted at the moment. Try again in a minute.", 503) from None
    if asked > most:
        raise _Refused(f"Too many requests. Wait {seconds} s, then try again.", 429, wait_s=seconds)


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
