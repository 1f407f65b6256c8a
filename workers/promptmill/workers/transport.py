"""Kombu's Redis transport, made to outlive what Redis does, and what lies in it.

A hint is disposable: SQL has the job, and the sweep hints again. So nothing here is worth an exit:

- What is taken from a list is held in memory only. Kombu would copy it to `unacked` and take it out
  again, two transactions a message, and end the worker where Redis refuses such a write.
- A message that cannot be read is dropped, and counted.
- What is no list, under the name of a queue, is set aside.
- Where Redis refuses to give (read only, no right to), it is asked again each second.

What lies in a list is taken by the hundred, where kombu takes one message in a round trip: the jobs
of a group go through SQL and the limiter together, which is where a worker's CPU goes otherwise.

Kombu 5.7 besides makes a new client object for every command, a sixth of the worker's CPU for a
task. And it asks None for a host name when a channel whose `close()` failed half way (Redis is
away) is closed again: an AttributeError, which is no connection error, in about every third outage.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from math import inf
from queue import Empty
from time import monotonic
from typing import Any

import msgspec
import redis
import structlog
from kombu import serialization
from kombu.transport import TRANSPORT_ALIASES, virtual
from kombu.transport import redis as kombu_redis
from kombu.utils.json import dumps, loads
from redis.backoff import NoBackoff
from redis.retry import Retry

from promptmill.schema.broker import aside_key
from promptmill.workers.away import Away
from promptmill.workers.dropped import Dropped

_log = structlog.get_logger(__name__)
_ASK_AGAIN_S = 1.0
_PATIENCE_S = 3.0
"""with one command, for BRPOP takes one; meanwhile Celery's main thread hears no signal"""
_AT_ONCE = 100
"""messages taken at once, at most"""
_LEAVE_ALONE_S = 5.0
"""after an event that was not taken, or each of those that are kept would take its patience"""
_TYPE_MARK = "__type__"
"""kombu's own, of an object that is a date or the like"""
_tags = count(1)
_KombuChannel: Any = kombu_redis.Channel  # its stubs know a part of it
_KombuQoS: Any = virtual.QoS
# Kombu counts KeyError too; here that is a message without a field that it needs.
_LOST: tuple[type[Exception], ...] = (
    redis.RedisError,
    *(error for error in kombu_redis.Transport.connection_errors if error is not KeyError),
)


class Message(virtual.Message):
    """A message with a tag of our own: one that others chose may be there twice."""

    def __init__(self, payload: Any, channel: Any = None, **options: Any) -> None:
        """Raise anything for a message that could not be put back."""
        super().__init__(payload, channel=channel, **options)
        self.delivery_tag: Any = next(_tags)
        self.delivery_info["routing_key"].encode()


class QoS(_KombuQoS):  # type: ignore[misc]  # Any
    """What this worker has taken and not acknowledged, in memory."""

    def restore_unacked(self) -> list[Any]:
        """Put it back, where Redis takes it."""
        self._flush()
        held = list(self._delivered.values())
        self._delivered.clear()
        self.channel.put_back(held)
        return []


class Channel(_KombuChannel):  # type: ignore[misc]  # Any
    """A channel that no message and no refusal can break."""

    Message: Any = Message
    ack_emulation = False
    closed: bool
    listeners = 0
    """how many took the last event"""
    _kept: Any = None
    _refused_at: float | None = None
    _unsent_at = -inf

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.QoS: Any = QoS
        self._dropped = Dropped()
        self._away = Away("queue")

    @contextmanager
    def conn_or_acquire(self, client: Any = None) -> Iterator[Any]:
        """Lend *client*, or the one client of this channel's pool (clients may be shared)."""
        if client is None:
            client = self._kept
            if client is None or client.connection_pool is not self.pool:
                channel: Any = self
                client = self._kept = channel._create_client()  # noqa: SLF001  its own
        yield client

    def basic_consume(
        self, queue: str, *args: Any, callback: Callable[[Any], Any], **options: Any
    ) -> Any:
        """Consume; a message that *callback* fails on is dropped."""

        def guarded(message: Any) -> None:
            try:
                callback(message)
            except Exception as error:  # noqa: BLE001  an outermost loop: it goes on with the next
                if not message.acknowledged:
                    message.ack()
                self._dropped.add(error)

        return super().basic_consume(queue, *args, callback=guarded, **options)

    def put_back(self, messages: Iterable[Any]) -> None:
        """Put messages back where they are taken next, the first one first."""
        try:
            with self.conn_or_acquire() as client, client.pipeline(transaction=False) as pipeline:
                for message in reversed(list(messages)):
                    step = self._get_message_priority(message._raw)  # noqa: SLF001
                    queue = message.delivery_info["routing_key"]
                    pipeline.rpush(self._q_for_pri(queue, step), dumps(message._raw))  # noqa: SLF001
                pipeline.execute()
        except _LOST as error:
            _log.info("hints not put back", error=type(error).__name__)

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

    # Below: what kombu calls.

    def _connparams(self, asynchronous: bool = False) -> Any:
        once = {"retry": Retry(NoBackoff(), 0), "socket_timeout": _PATIENCE_S}
        return super()._connparams(asynchronous) | once

    def _put_fanout(self, exchange: str, message: Any, routing_key: str, **_: Any) -> None:
        if monotonic() - self._unsent_at < _LEAVE_ALONE_S:
            msg = "it did not answer a moment ago"
            raise redis.ConnectionError(msg)  # Celery keeps the event
        event = dumps(message)
        try:
            with self.conn_or_acquire() as client:
                topics = self._get_publish_topics(exchange, routing_key)
                self.listeners = sum(client.publish(topic, event) for topic in topics)
        except _LOST:
            self._unsent_at = monotonic()
            raise

    def _brpop_start(self, timeout: float | None = None) -> None:
        if self._refused_at is None or monotonic() - self._refused_at >= _ASK_AGAIN_S:
            super()._brpop_start(timeout)

    def _brpop_read(self, **options: Any) -> bool:
        try:
            self._take(**options)
        except redis.ResponseError as error:
            self._refused(error)
            raise Empty from None
        except Empty:
            self._served()
            raise
        finally:
            # As kombu's own: BRPOP has been answered, so its connection may do something else.
            self._in_poll = None
            self._flush_brpop_reauth()
        self._served()
        return True

    def _take(self, **options: Any) -> None:
        """Deliver what BRPOP brings, and with it what else lies there and may be taken."""
        connection = self.client.connection
        try:
            found = self.client.parse_response(connection, "BRPOP", **options)
        except self.connection_errors:
            connection.disconnect()
            raise
        if not found:
            raise Empty
        key, first = found
        queue = key.decode().rsplit(self.sep, 1)[0]
        self._queue_cycle.rotate(queue)
        self._deliver_all([first], queue)
        room = self.qos.can_consume_max_estimate()
        most = _AT_ONCE if room is None else min(room, _AT_ONCE)
        if most:
            self._deliver_all(self.client.rpop(key.decode(), most) or (), queue)

    def _deliver_all(self, messages: Iterable[bytes], queue: str) -> None:
        for message in messages:
            try:
                self.connection._deliver(msgspec.json.decode(message), queue)  # noqa: SLF001
            except _LOST:
                raise
            except Exception as error:  # noqa: BLE001  whatever it is that such bytes can raise
                self._dropped.add(error)

    def _receive_one(self, client: Any) -> Any:
        try:
            return super()._receive_one(client)
        except Empty:
            raise
        except _LOST:
            raise
        except Exception as error:  # noqa: BLE001  as above
            self._dropped.add(error)

    def _size(self, queue: str) -> Any:
        try:
            return super()._size(queue)
        except redis.ResponseError:
            return 0  # the one who reads it will see

    def _queue_bind(self, *binding: Any) -> None:
        try:
            super()._queue_bind(*binding)
        except redis.ResponseError as error:
            # Nobody looks it up: hints are sent to a queue by its name, orders by subscription.
            _log.info("binding not kept", error=type(error).__name__)

    def _refused(self, error: redis.ResponseError) -> None:
        self._away.saw(error)
        self._refused_at = monotonic()
        if "WRONGTYPE" in str(error):
            self._set_aside()

    def _served(self) -> None:
        self._away.answered()
        self._dropped.tell()
        self._refused_at = None

    def _set_aside(self) -> None:
        """Rename what is no list. Two workers at once may rename a good one: it is hinted again."""
        for queue in self.active_queues:
            for step in self.priority_steps:
                key = self._q_for_pri(queue, step)
                try:
                    with self.conn_or_acquire() as client:
                        if client.type(self.global_keyprefix + key) in (b"list", b"none"):
                            continue
                        aside = aside_key(self.global_keyprefix, key)
                        client.rename(self.global_keyprefix + key, aside)
                except redis.ResponseError as error:
                    _log.warning("queue not set aside", queue=queue, error=type(error).__name__)
                else:
                    _log.warning("queue set aside", queue=queue, key=aside)


class Transport(kombu_redis.Transport):
    """The transport with such channels. A refusal is a reason to connect anew, never to end."""

    Channel: Any = Channel
    connection_errors = (*kombu_redis.Transport.connection_errors, redis.RedisError)


def use_transport() -> None:
    """Let `redis://` and `redis+socket://` mean this transport in this process.

    JSON is read by msgspec then: Celery reads the body of each message twice.
    """
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
    serialization.register("json", dumps, _loads, "application/json")


def _loads(text: str | bytes | bytearray | memoryview) -> Any:
    """Read JSON as kombu does, which looks into each object for a type that JSON has not."""
    try:
        marked = _TYPE_MARK in (text if isinstance(text, str) else bytes(text).decode())
        return loads(text) if marked else msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return loads(text)  # NaN, for one
