"""Celery's way to Redis, which survives that Redis goes away while runs go on."""

from __future__ import annotations

from typing import Any

from kombu.transport import redis


class Channel(redis.Channel):
    """One that lets go of its messages when its connection is lost.

    kombu (5.7) would put the messages of running tasks back, and later acknowledge them, through the
    connection that broke. It asks for an address that is gone by then, and the AttributeError ends the
    worker. Neither is needed: a run's row says whether it was taken, and the dispatcher repeats the message
    of one that was not.
    """

    def close(self) -> None:
        """Close it; messages that were not acknowledged go back where there is still a connection."""
        self.do_restore = self._has_connection
        super().close()

    def basic_ack(self, delivery_tag: Any, multiple: bool = False) -> None:  # noqa: FBT001 (kombu's)
        """Acknowledge a message, if it came through a connection that there still is."""
        if self._has_connection:
            super().basic_ack(delivery_tag, multiple=multiple)

    @property
    def _has_connection(self) -> bool:
        return self.connection is not None and self.connection.client is not None


class Transport(redis.Transport):
    """For `broker_transport`."""

    Channel = Channel
