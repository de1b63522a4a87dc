"""Live pages: who changes something announces it, and every open page that shows it asks for it again.

A message says only which fragments changed, never what they hold: each page fetches them with its own
permissions. Messages travel through Redis; without it pages still work, they are merely not live.
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
# Changes that come together are told together: a bulk tick is one message, and 200 ms stay the promise.
GATHER_S = 0.03
# Cut off from Redis nobody tells us of changes: pages then fetch what they show this often.
RESYNC_DEAF_S = 5.0
CHANNELS_AT_MOST = 20
# A stream outlives the request that opened it: whether its reader may still read is asked this often.
ASK_AGAIN_S = 5.0
# A broker that hangs must not hold up every request: after a failure we stay silent this long.
SILENT_AFTER_FAILURE_S = 5.0

Piece = TypeVar("Piece", str, bytes)

_silent_until = 0.0


def announce(channel: str, *fragment_ids: str) -> None:
    """Tell open pages, once the transaction is committed, that fragments changed. Never raises.

    Args:
        channel: such as `run:3`.
        fragment_ids: the ids of the elements that show what changed.
    """
    message = json.dumps(fragment_ids)
    transaction.on_commit(lambda: publish(channel, message))


def publish(channel: str, message: str) -> None:
    """Send a message to every process that streams. Never raises.

    Args:
        channel: such as `run:3`.
        message: JSON.
    """
    global _silent_until
    if time.monotonic() < _silent_until:
        return
    try:
        broker().publish(topic(channel), message)
    except redis.RedisError as error:
        _silent_until = time.monotonic() + SILENT_AFTER_FAILURE_S
        logger.warning("Open pages were not told about %s: %s", channel, error)


@cache
def broker() -> redis.Redis:
    """This process's client of Redis; it connects when used, and again after a fork."""
    return redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=0.5, socket_timeout=1.0)


@require_GET
async def live(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """The stream of changes for one open page: `/live/?channel=deployment:7&channel=run:3&since=…`.

    `since` is the server's time, in seconds, when the page was made: what changed between then and now is
    told first, so that nothing falls between page and stream.
    """
    channels = request.GET.getlist("channel")[:CHANNELS_AT_MOST]
    user: AbstractBaseUser = await request.auser()  # type: ignore[assignment]
    if not await sync_to_async(_may_watch_all)(user, channels):
        # Read by a script, which needs no page around it.
        return HttpResponse("You may not watch this.", status=403, content_type="text/plain")
    return event_stream(request, _changes(channels, _seconds(request.GET.get("since"))))


def event_stream(request: HttpRequest, events: AsyncIterator[str]) -> StreamingHttpResponse:
    """An answer of server-sent events (WHATWG HTML, 9.2) that holds no database session while it lasts.

    It ends soon after the reader's own session has ended, or the reader was shut out.
    """
    response = StreamingHttpResponse(while_session_is_open(request, events), content_type="text/event-stream")
    response["Cache-Control"] = "no-cache, no-transform"
    response["X-Accel-Buffering"] = "no"  # nginx would otherwise hold the stream back
    return response


def event(name: str, data: object, *, identifier: str = "") -> str:
    """One server-sent event.

    Args:
        name: what the page listens for.
        data: sent as JSON, which has no line breaks.
        identifier: what the browser repeats as `Last-Event-ID` when it reconnects.
    """
    head = f"id: {identifier}\n" if identifier else ""
    return f"{head}event: {name}\ndata: {json.dumps(data)}\n\n"


async def while_session_is_open(request: HttpRequest, pieces: AsyncIterator[Piece]) -> AsyncIterator[Piece]:
    """An answer that lasts, as long as the reader's own session does, and without one of the database."""
    session_is_open: Callable[[], bool] = getattr(request, "session_is_open", lambda: True)
    # The middleware opened a session for the user's row; Django would close it only when the stream ends.
    await sync_to_async(connections.close_all)()
    asked = time.monotonic()
    async with aclosing(pieces) as stream:  # type: ignore[type-var]
        async for piece in stream:
            if time.monotonic() - asked > ASK_AGAIN_S:
                asked = time.monotonic()
                if not await sync_to_async(_ask)(session_is_open):
                    return
            yield piece


def _ask(session_is_open: Callable[[], bool]) -> bool:
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
        # Sent at once, so that the browser knows that the stream is open.
        yield ": open\n\n"
        while True:
            yield await _next(hub, subscription)


async def _next(hub: Hub, subscription: Subscription) -> str:
    wait_s = PING_S if hub.is_listening else RESYNC_DEAF_S
    changes = await subscription.take(wait_s=wait_s, gather_s=GATHER_S)
    if changes is None or not (changes or hub.is_listening):
        return event("resync", {})
    if not changes:
        return ": ping\n\n"
    return event("changed", {"fragments": changes})


def _seconds(text: str | None) -> float:
    """The moment a page was made; now, where it does not say."""
    try:
        return float(text or "")
    except ValueError:
        return time.time()
