"""Kombu's own channel cannot be closed without its connection; ours can."""

from typing import Any

import pytest
from kombu import Connection

from tests.services.valkey import Valkey


def half_closed_channel(valkey: Valkey, transport: str) -> Any:
    """Open a channel that holds a message, and drop what its connection was made of."""
    connection: Any = Connection(valkey.kombu_url)
    connection.transport_cls = transport
    channel: Any = connection.channel()
    channel.queue_declare("q")
    channel.basic_publish(channel.prepare_message("x"), "", "q")
    assert channel.basic_get("q") is not None
    channel._disconnect_pools()
    channel.connection.client = None
    return channel


def test_a_channel_that_lost_its_connection_is_closed_without_an_error(valkey: Valkey) -> None:
    channel = half_closed_channel(valkey, "promptmill.workers.transport:Transport")
    channel.close()
    assert channel.closed


def test_kombu_still_needs_that(valkey: Valkey) -> None:
    channel = half_closed_channel(valkey, "kombu.transport.redis:Transport")
    with pytest.raises(AttributeError, match="hostname"):
        channel.close()
    channel.qos._on_collect.cancel()


def test_a_channel_keeps_one_client_for_its_pool_and_takes_another_for_a_new_one(
    valkey: Valkey,
) -> None:
    connection: Any = Connection(valkey.kombu_url)
    connection.transport_cls = "promptmill.workers.transport:Transport"
    with connection:
        channel: Any = connection.channel()
        with channel.conn_or_acquire() as first, channel.conn_or_acquire() as second:
            assert first is second
        with channel.conn_or_acquire(first) as given:
            assert given is first
        channel._disconnect_pools()
        with channel.conn_or_acquire() as after:
            assert after is not first
            assert after.ping()
