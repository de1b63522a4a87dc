"""Celery's Redis transport, changed to survive an outage of Redis during runs."""

from __future__ import annotations

from typing import Any

from kombu.transport import redis


class Channel(redis.Channel):
    """A channel that drops its messages when its connection is lost.

    kombu (5.7) restores the messages of running tasks, and later acknowledges them, through the lost
    connection. This raises an AttributeError that ends the worker. Neither is needed: the row of a run
    records whether it was claimed, and the dispatcher sends the message again if it wasn't.
    """

    def close(self) -> None:
        """Close the channel, and restore unacknowledged messages only if it still has a connection."""
        self.do_restore = self._has_connection
        super().close()

    def basic_ack(self, delivery_tag: Any, multiple: bool = False) -> None:  # noqa: FBT001 (kombu's)
        """Acknowledge a message, if the channel still has a connection."""
        if self._has_connection:
            super().basic_ack(delivery_tag, multiple=multiple)

    @property
    def _has_connection(self) -> bool:
        return self.connection is not None and self.connection.client is not None


class Transport(redis.Transport):
    """The transport for the setting `broker_transport`."""

    Channel = Channel
