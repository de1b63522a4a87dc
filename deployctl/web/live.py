"""Live updates of open pages by server-sent events.

Code that changes something announces the ids of the changed fragments; open pages fetch these again. Messages
contain no content, so every page loads fragments with the permissions of its own user. Messages go through
Redis; without Redis, pages work but fetch their content at intervals.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from functools import cache
from typing import TypeVar

import redis
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.views.decorators.http import require_GET

from deployctl.web.hooks import channel_permission
from deployctl.web.live_hub import Hub, Subscription, topic

logger = logging.getLogger(__name__)

PING_S = 15.0
# Changes within this time are sent as one event, such as a bulk tick; pages must update within 200 ms.
GATHER_S = 0.03
# While Redis is unreachable, pages fetch their content this often.
RESYNC_WITHOUT_BROKER_S = 5.0
MAX_CHANNELS = 20
# A stream outlives the request that opened it, so the user's session is checked this often.
RECHECK_SESSION_S = 5.0
# After a failure, nothing is published for this long: a hanging broker must not delay every request.
PAUSE_AFTER_FAILURE_S = 5.0

Piece = TypeVar("Piece", str, bytes)

_paused_until = 0.0


def announce(channel: str, *fragment_ids: str) -> None:
    """Notify open pages that fragments changed, once the transaction is committed. Never raises.

    Args:
        channel: such as `run:3`.
        fragment_ids: the ids of the elements that show the change.
    """
    message = json.dumps(fragment_ids)
    transaction.on_commit(lambda: publish(channel, message))


def publish(channel: str, message: str) -> None:
    """Publish a message to all processes that stream events. Never raises.

    Args:
        channel: such as `run:3`.
        message: a JSON list of fragment ids.
    """
    global _paused_until
    if time.monotonic() < _paused_until:
        return
    try:
        broker().publish(topic(channel), message)
    except redis.RedisError as error:
        _paused_until = time.monotonic() + PAUSE_AFTER_FAILURE_S
        logger.warning("Open pages were not notified about %s: %s", channel, error)


@cache
def broker() -> redis.Redis:
    """Return this process's Redis client, which connects when used, and again after a fork."""
    return redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=0.5, socket_timeout=1.0)


@require_GET
async def live(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """Stream changes to one open page: `/live/?channel=deployment:7&channel=run:3&since=…`.

    `since` is the server's time in seconds when the page was rendered. Changes after it are sent first, so no
    change between the page and its stream is missed.
    """
    channels = request.GET.getlist("channel")[:MAX_CHANNELS]
    user: AbstractBaseUser = await request.auser()  # type: ignore[assignment]
    if not await sync_to_async(_may_watch_all)(user, channels):
        # A script reads this response, so it needs no page.
        return HttpResponse("You may not watch these channels.", status=403, content_type="text/plain")
    return event_stream(request, _changes(channels, _seconds(request.GET.get("since"))))


def event_stream(request: HttpRequest, events: AsyncIterator[str]) -> StreamingHttpResponse:
    """Return a response of server-sent events (WHATWG HTML, 9.2) that holds no database session.

    It ends soon after the user's session has ended or the account was disabled.
    """
    response = StreamingHttpResponse(while_session_is_open(request, events), content_type="text/event-stream")
    response["Cache-Control"] = "no-cache, no-transform"
    response["X-Accel-Buffering"] = "no"  # otherwise nginx buffers the stream
    return response


def event(name: str, data: object, *, identifier: str = "") -> str:
    """Return a server-sent event as text.

    Args:
        name: the event type that the page listens for.
        data: sent as JSON, which has no line breaks.
        identifier: the id that the browser sends as `Last-Event-ID` when it reconnects.
    """
    head = f"id: {identifier}\n" if identifier else ""
    return f"{head}event: {name}\ndata: {json.dumps(data)}\n\n"


async def while_session_is_open(request: HttpRequest, pieces: AsyncIterator[Piece]) -> AsyncIterator[Piece]:
    """Yield pieces until the user's session ends, without holding a database session."""
    session_is_open: Callable[[], bool] = getattr(request, "session_is_open", lambda: True)
    # The middleware opened a database session; Django would close it only when the stream ends.
    await sync_to_async(connections.close_all)()
    checked = time.monotonic()
    async with aclosing(pieces) as stream:  # type: ignore[type-var]
        async for piece in stream:
            if time.monotonic() - checked > RECHECK_SESSION_S:
                checked = time.monotonic()
                if not await sync_to_async(_check)(session_is_open):
                    return
            yield piece


def _check(session_is_open: Callable[[], bool]) -> bool:
    try:
        return session_is_open()
    finally:
        connections.close_all()


def _may_watch_all(user: AbstractBaseUser, channels: list[str]) -> bool:
    for channel in channels:
        kind, _, key = channel.partition(":")
        if not any(channel_permission.collect(user, kind, key)):
            return False
    return True


async def _changes(channels: list[str], since: float) -> AsyncIterator[str]:
    hub = Hub.of_this_loop()
    with hub.subscribe(channels, since=since) as subscription:
        # Sent at once, because the browser waits for the first bytes to open the stream.
        yield ": open\n\n"
        while True:
            yield await _next(hub, subscription)


async def _next(hub: Hub, subscription: Subscription) -> str:
    wait_s = PING_S if hub.is_listening else RESYNC_WITHOUT_BROKER_S
    changes = await subscription.take(wait_s=wait_s, gather_s=GATHER_S)
    if changes is None or not (changes or hub.is_listening):
        return event("resync", {})
    if not changes:
        return ": ping\n\n"
    return event("changed", {"fragments": changes})


def _seconds(text: str | None) -> float:
    """Return the time when a page was rendered, or now if it is missing."""
    try:
        return float(text or "")
    except ValueError:
        return time.time()
