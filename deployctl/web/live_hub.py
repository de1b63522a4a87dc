"""One subscription to Redis per process, handed on to every stream of that process.

No database anywhere in this path: a thousand open pages cost a thousand sets of names.
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

# A page with more changes than this is refreshed whole; a slow reader costs no more than this.
FRAGMENTS_AT_MOST = 200
# What was announced lately, for pages that were made before their stream opened.
REMEMBERED = 2000
RECONNECT_S = 1.0


def topic(channel: str) -> str:
    """What a channel is called in Redis, which other installations may use, too."""
    return f"deployctl:{installation_id()}:live:{channel}"


class Subscription:
    """One stream's share: the names of fragments that changed since it was last asked."""

    def __init__(self, channels: Sequence[str]) -> None:
        self.channels = frozenset(channels)
        self._changed: dict[str, None] = {}
        self._resync = False
        self._news = asyncio.Event()

    def add(self, fragments: Sequence[str]) -> None:
        """Note changes; too many of them become one resync."""
        self._changed.update(dict.fromkeys(fragments))
        if len(self._changed) > FRAGMENTS_AT_MOST:
            self.resync()
        self._news.set()

    def resync(self) -> None:
        """Something may have been missed: the page is to fetch everything again."""
        self._changed.clear()
        self._resync = True
        self._news.set()

    async def take(self, *, wait_s: float, gather_s: float) -> list[str] | None:
        """What changed, in order; empty when nothing did for `wait_s` seconds; None for a resync.

        Args:
            wait_s: how long to wait for the first change.
            gather_s: how long to wait for more of them.
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
    """Listens to Redis while anybody watches."""

    _hubs: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = weakref.WeakKeyDictionary()

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()
        self._recent: deque[tuple[float, str, tuple[str, ...]]] = deque(maxlen=REMEMBERED)
        # Before this moment we know of nothing; a page older than that resyncs.
        self._complete_since = float("inf")
        self._listener: asyncio.Task[None] | None = None

    @classmethod
    def of_this_loop(cls) -> Self:
        """The one hub of the running event loop."""
        loop = asyncio.get_running_loop()
        if loop not in cls._hubs:
            cls._hubs[loop] = cls()
        return cls._hubs[loop]  # type: ignore[return-value]

    @property
    def is_listening(self) -> bool:
        """Whether changes reach us; without Redis they do not."""
        return self._complete_since < float("inf")

    @contextmanager
    def subscribe(self, channels: Sequence[str], *, since: float) -> Iterator[Subscription]:
        """Watch channels.

        Args:
            channels: such as `run:3`; permission was checked.
            since: seconds since the epoch; changes from then on are told first.
        """
        if self._listener is None or self._listener.done():
            self._listener = asyncio.create_task(self._listen())
        subscription = Subscription(channels)
        if self.is_listening and since < self._complete_since:
            subscription.resync()
        else:  # where we do not listen yet, everybody resyncs when we do
            for at, channel, fragments in self._recent:
                if at >= since and channel in subscription.channels:
                    subscription.add(fragments)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    async def _listen(self) -> None:
        """Hand on messages for as long as the process lives, whatever happens to Redis."""
        while True:
            try:
                await self._listen_once()
            except (RedisError, OSError) as error:
                logger.warning("Live pages are cut off from Redis, trying again: %s", error)
            self._complete_since = float("inf")
            await asyncio.sleep(RECONNECT_S)

    async def _listen_once(self) -> None:
        client = redis.asyncio.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=2)
        async with client, client.pubsub(ignore_subscribe_messages=True) as pubsub:
            await pubsub.psubscribe(topic("*"))
            await pubsub.get_message(ignore_subscribe_messages=False, timeout=2)
            self._complete_since = time.time()
            # Whoever came while we were away may have missed something.
            for subscription in self._subscriptions:
                subscription.resync()
            while True:
                # The timeout has the connection checked now and then: a silent one may be dead.
                message = await pubsub.get_message(timeout=10)
                if message is None:
                    await pubsub.ping()
                elif message["type"] == "pmessage":
                    self._hand_on(message["channel"].decode().removeprefix(topic("")), message["data"])

    def _hand_on(self, channel: str, data: bytes) -> None:
        fragments = tuple(json.loads(data))
        if len(self._recent) == self._recent.maxlen:
            self._complete_since = max(self._complete_since, self._recent[0][0])
        if fragments:  # a hint without names (new log lines) is nothing to catch up with
            self._recent.append((time.time(), channel, fragments))
        for subscription in self._subscriptions:
            if channel in subscription.channels:
                subscription.add(fragments)
