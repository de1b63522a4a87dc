"""Distribute messages from Redis to the streams of a process.

Each process has one subscription to Redis and uses no database here. An open page costs only a set of names.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Self

import redis.asyncio
from django.conf import settings
from redis.exceptions import RedisError

from deployctl.web.installation import installation_id

logger = logging.getLogger(__name__)

# A page with more changes than this reloads everything, which also limits the memory for a slow reader.
MAX_FRAGMENTS = 200
# The number of recent messages that are kept for pages whose stream opens after they were rendered.
MAX_RECENT = 2000
RECONNECT_S = 1.0


def topic(channel: str) -> str:
    """Return the name of a channel in Redis, which other installations may share."""
    return f"deployctl:{installation_id()}:live:{channel}"


class Subscription:
    """The fragments of one stream that have changed since the last `take`."""

    def __init__(self, channels: Sequence[str]) -> None:
        self.channels = frozenset(channels)
        self._changed: dict[str, None] = {}
        self._resync = False
        self._news = asyncio.Event()

    def add(self, fragments: Sequence[str]) -> None:
        """Add changed fragments; too many of them become a resync."""
        self._changed.update(dict.fromkeys(fragments))
        if len(self._changed) > MAX_FRAGMENTS:
            self.resync()
        self._news.set()

    def resync(self) -> None:
        """Make the page fetch everything again, because changes may have been missed."""
        self._changed.clear()
        self._resync = True
        self._news.set()

    async def take(self, *, wait_s: float, gather_s: float) -> list[str] | None:
        """Return the changed fragments in order; empty if none changed within `wait_s`, None for a resync.

        Args:
            wait_s: the time to wait for the first change, in seconds.
            gather_s: the time to wait for more changes, in seconds.
        """
        try:
            await asyncio.wait_for(self._news.wait(), wait_s)
        except TimeoutError:
            return []
        await asyncio.sleep(gather_s)
        self._news.clear()
        changed, resync = list(self._changed), self._resync
        self._changed.clear()
        self._resync = False
        return None if resync else changed


class Hub:
    """Listens to Redis and passes messages to subscriptions; one per event loop."""

    _hubs: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = weakref.WeakKeyDictionary()

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()
        self._recent: deque[tuple[float, str, tuple[str, ...]]] = deque(maxlen=MAX_RECENT)
        # Messages before this time are unknown, so a page that was rendered earlier resyncs.
        self._complete_since = float("inf")
        self._listener: asyncio.Task[None] | None = None

    @classmethod
    def of_this_loop(cls) -> Self:
        """Return the hub of the running event loop."""
        loop = asyncio.get_running_loop()
        if loop not in cls._hubs:
            cls._hubs[loop] = cls()
        return cls._hubs[loop]  # type: ignore[return-value]

    @property
    def is_listening(self) -> bool:
        """True if messages arrive; False while Redis is unreachable."""
        return self._complete_since < float("inf")

    @contextmanager
    def subscribe(self, channels: Sequence[str], *, since: float) -> Iterator[Subscription]:
        """Subscribe to channels.

        Args:
            channels: such as `run:3`; the caller has checked the permission.
            since: seconds since the epoch; changes after it are returned first.
        """
        if self._listener is None or self._listener.done():
            self._listener = asyncio.create_task(self._listen())
        subscription = Subscription(channels)
        if self.is_listening and since < self._complete_since:
            subscription.resync()
        else:  # if we do not listen yet, all subscriptions resync when we do
            for at, channel, fragments in self._recent:
                if at >= since and channel in subscription.channels:
                    subscription.add(fragments)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    async def _listen(self) -> None:
        """Deliver messages until the process ends; reconnect to Redis after errors."""
        while True:
            try:
                await self._listen_once()
            except (RedisError, OSError) as error:
                logger.warning("Live pages lost the connection to Redis and will retry: %s", error)
            self._complete_since = float("inf")
            await asyncio.sleep(RECONNECT_S)

    async def _listen_once(self) -> None:
        client = redis.asyncio.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=2)
        async with client, client.pubsub(ignore_subscribe_messages=True) as pubsub:
            await pubsub.psubscribe(topic("*"))
            await pubsub.get_message(ignore_subscribe_messages=False, timeout=2)
            self._complete_since = time.time()
            # Subscriptions may have missed messages while we were disconnected.
            for subscription in self._subscriptions:
                subscription.resync()
            while True:
                # The timeout makes us check the connection, because a silent one may be dead.
                message = await pubsub.get_message(timeout=10)
                if message is None:
                    await pubsub.ping()
                elif message["type"] == "pmessage":
                    self._deliver(message["channel"].decode().removeprefix(topic("")), message["data"])

    def _deliver(self, channel: str, data: bytes) -> None:
        fragments = tuple(json.loads(data))
        if len(self._recent) == self._recent.maxlen:
            self._complete_since = max(self._complete_since, self._recent[0][0])
        if fragments:  # a message without fragments (new log lines) need not be repeated
            self._recent.append((time.time(), channel, fragments))
        for subscription in self._subscriptions:
            if channel in subscription.channels:
                subscription.add(fragments)
