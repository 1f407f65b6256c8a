"""What kombu's own channel cannot do, and ours can."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty
from threading import Thread
from typing import Any

import pytest
import redis
from kombu import Connection, Exchange, serialization
from kombu.exceptions import DecodeError
from structlog.testing import capture_logs

from promptmill.workers.away import Away
from promptmill.workers.dropped import Dropped
from promptmill.workers.reconnecting import Connection as OurConnection
from promptmill.workers.transport import use_transport
from tests.services.valkey import Valkey
from tests.services.waiting import wait_until

OURS = "promptmill.workers.transport:Transport"


@pytest.fixture
def channel(valkey: Valkey) -> Iterator[Any]:
    """A channel of ours; priorities as the product has them."""
    options = {"priority_steps": [0, 5], "global_keyprefix": "test:"}
    connection: Any = Connection(valkey.kombu_url, transport_options=options)
    connection.transport_cls = OURS
    with connection:
        yield connection.channel()


def send(channel: Any, *bodies: str, priority: int = 5) -> None:
    channel.queue_declare("q")
    for body in bodies:
        channel.basic_publish(channel.prepare_message(body, priority=priority), "", "q")


def take(channel: Any, prefetch: int = 0) -> list[Any]:
    """Consume until nothing comes for a second, or no more is allowed."""
    taken: list[Any] = []
    channel.basic_qos(prefetch_count=prefetch)
    channel.basic_consume("q", no_ack=False, callback=taken.append, consumer_tag="t")
    drain(channel)
    return taken


def drain(channel: Any) -> None:
    while channel.qos.can_consume():
        try:
            channel.connection.cycle.get(None, timeout=0.2)
        except Empty:
            break


def channel_like(valkey: Valkey) -> Any:
    """Open another channel of ours; its connection ends with it."""
    options = {"priority_steps": [0, 5], "global_keyprefix": "test:"}
    connection: Any = Connection(valkey.kombu_url, transport_options=options)
    connection.transport_cls = OURS
    return connection.channel()


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
    channel = half_closed_channel(valkey, OURS)
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
    connection.transport_cls = OURS
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


def test_what_is_taken_is_kept_in_memory_only(channel: Any, valkey: Valkey) -> None:
    send(channel, "a", "b")
    before = valkey.client.info("commandstats")
    taken = take(channel)
    assert len(taken) == 2
    for message in taken:
        message.ack()
    assert valkey.client.keys("test:*unacked*") == []
    after = valkey.client.info("commandstats")
    calls = {name: after[name]["calls"] - before.get(name, {"calls": 0})["calls"] for name in after}
    used = {name.removeprefix("cmdstat_") for name, number in calls.items() if number}
    assert used - {"hello", "client|setinfo"} == {"brpop", "rpop", "keys", "info"}


def test_a_channel_that_is_closed_puts_back_what_it_holds_in_the_order_it_came(
    channel: Any, valkey: Valkey
) -> None:
    send(channel, "a", "b", "c", "d")
    send(channel, "urgent", priority=0)
    taken = take(channel, prefetch=4)
    assert [message.body for message in taken] == [b"urgent", b"a", b"b", b"c"]
    taken[1].ack()
    channel.close()
    with channel_like(valkey) as other:
        assert [message.body for message in take(other)] == [b"urgent", b"b", b"c", b"d"]


def test_no_more_is_taken_than_is_allowed_whatever_tags_the_messages_have(channel: Any) -> None:
    send(channel, "a", "b", "c", "d")
    with channel.conn_or_acquire() as client:
        same = client.lrange("test:q\x06\x165", 0, 0)[0]
        for _ in range(3):
            client.rpush("q\x06\x165", same)
    taken = take(channel, prefetch=3)
    assert len(taken) == 3
    assert len({message.delivery_tag for message in taken}) == 3
    taken[0].ack()
    drain(channel)
    assert len(taken) == 4


def test_a_message_that_its_consumer_fails_on_takes_up_no_room(channel: Any) -> None:
    send(channel, "bad", "bad", "good")
    taken: list[Any] = []

    def consume(message: Any) -> None:
        if message.body == b"bad":
            raise ValueError(message.body)
        taken.append(message)

    channel.basic_qos(prefetch_count=1)
    channel.basic_consume("q", no_ack=False, callback=consume, consumer_tag="t")
    with capture_logs() as logs:
        drain(channel)
    assert [message.body for message in taken] == [b"good"]
    assert [(line["event"], line["number"], line["errors"]) for line in logs] == [
        ("messages dropped", 1, "ValueError")
    ]


def test_a_redis_that_takes_nothing_back_ends_no_close(channel: Any, valkey: Valkey) -> None:
    send(channel, "a")
    assert len(take(channel)) == 1
    valkey.client.config_set("maxmemory", 1)
    try:
        channel.close()
    finally:
        valkey.client.config_set("maxmemory", 0)
    assert channel.closed


def test_what_lies_there_is_taken_in_two_round_trips(channel: Any, valkey: Valkey) -> None:
    send(channel, *map(str, range(70)))
    before = valkey.client.info("commandstats")
    assert len(take(channel)) == 70
    after = valkey.client.info("commandstats")
    rpops = after["cmdstat_rpop"]["calls"] - before.get("cmdstat_rpop", {"calls": 0})["calls"]
    assert rpops == 1


def test_messages_keep_their_order_and_what_is_urgent_comes_first(channel: Any) -> None:
    send(channel, "a", "b", "c")
    send(channel, "now", "next", priority=0)
    assert [message.body for message in take(channel)] == [b"now", b"next", b"a", b"b", b"c"]


def test_a_message_among_many_that_cannot_be_read_is_dropped_alone(
    channel: Any, valkey: Valkey
) -> None:
    send(channel, "a")
    valkey.client.lpush("test:q\x06\x165", b"no message", b'{"body": 1}', b"\xff")
    send(channel, "b")
    with capture_logs() as logs:
        assert [message.body for message in take(channel)] == [b"a", b"b"]
    assert [log["event"] for log in logs] == ["messages dropped"]


@pytest.mark.parametrize("value", [[[12, 1], {}, {"chain": None}], {"a": "\ud83d"}, [1e999], "é"])
def test_json_is_read_as_kombu_reads_it(value: Any) -> None:
    use_transport()
    kind, encoding, text = serialization.dumps(value, "json")
    given: Any
    for given in (text, text.encode(), memoryview(text.encode())):
        assert serialization.loads(given, kind, encoding) == value
    when = datetime(2026, 11, 29, tzinfo=UTC)
    assert serialization.loads(serialization.dumps([when], "json")[2], kind, encoding) == [when]
    with pytest.raises(DecodeError):
        serialization.loads("{nothing", kind, encoding)


def test_an_event_is_counted_by_those_who_take_it(channel: Any, valkey: Valkey) -> None:
    exchange = Exchange("celeryev", type="fanout", channel=channel)
    exchange.declare()

    def publish() -> int:
        channel.basic_publish(channel.prepare_message("e"), "celeryev", "task.multi")
        return int(channel.listeners)

    assert publish() == 0
    client: Any = valkey.client
    with client.pubsub() as news:
        news.psubscribe("*celeryev*")
        news.get_message(timeout=5)
        assert publish() == 1


def test_dropped_messages_are_told_at_once_and_then_by_their_number() -> None:
    now = [100.0]
    dropped = Dropped(clock=lambda: now[0])
    with capture_logs() as logs:
        for number in range(5):
            dropped.add(KeyError() if number else ValueError())
        dropped.tell()
        now[0] += 10.0
        dropped.tell()
        dropped.tell()
    assert [(line["number"], line["errors"]) for line in logs] == [
        (1, "ValueError"),
        (4, "KeyError"),
    ]


def test_a_connection_waits_until_redis_is_back_and_tells_that_once(short_folder: Path) -> None:
    with Valkey(short_folder) as server:
        server.kill()
        connection: Any = OurConnection(server.kombu_url)
        connection.transport_cls = OURS
        thread = Thread(target=connection.ensure_connection, name="connects")
        with capture_logs() as logs:
            thread.start()
            wait_until(lambda: logs, "it to find nobody")
            server.start()
            thread.join(10)
        assert connection.connected
        connection.close()
    assert [(line["event"], line["service"]) for line in logs] == [
        ("service lost", "redis"),
        ("service back", "redis"),
    ]


def test_a_service_that_fails_now_and_then_is_told_once_and_again_when_it_is_calm() -> None:
    now = [100.0]
    away = Away("limiter", clock=lambda: now[0])
    with capture_logs() as logs:
        away.answered()
        for _ in range(5):
            away.saw(redis.ResponseError("MISCONF Redis is configured to save"))
            now[0] += 0.5
            away.answered()
        now[0] += 0.5
        away.answered()
        away.answered()
    assert [(line["event"], line.get("error"), line.get("away_s")) for line in logs] == [
        ("service lost", "MISCONF", None),
        ("service back", None, 3.0),
    ]
