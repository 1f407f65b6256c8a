"""Kombu's Redis transport, able to lose its Redis, and with one client a channel.

A channel whose `close()` failed half way (Redis is away) is closed again after the connection has
dropped its client. Kombu 5.7 then asks None for a host name: an AttributeError, which is no
connection error, so that the worker ended with status 1 in about every third outage.

And it makes a new client object for every command: a sixth of the worker's CPU for a task.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis


class Channel(kombu_redis.Channel):
    """A channel that can be closed without its connection, and keeps its client."""

    _kept: Any = None

    @contextmanager
    def conn_or_acquire(self, client: Any = None) -> Iterator[Any]:
        """Lend *client*, or the one client of this channel's pool (clients may be shared)."""
        if client is None:
            client = self._kept
            if client is None or client.connection_pool is not self.pool:
                channel: Any = self
                client = self._kept = channel._create_client()  # noqa: SLF001  its own
        yield client

    def close(self) -> None:
        """Close; what was not acknowledged is left: a hint is disposable."""
        if not self.closed and (self.connection is None or self.connection.client is None):
            self.closed = True
            qos: Any = self._qos
            if qos is not None:
                qos._on_collect.cancel()  # noqa: SLF001  it would try once more at exit
                qos._delivered.clear()  # noqa: SLF001
            return
        super().close()


class Transport(kombu_redis.Transport):
    """The transport with such channels."""

    Channel: Any = Channel


def use_transport() -> None:
    """Let `redis://` and `redis+socket://` mean this transport in this process."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
