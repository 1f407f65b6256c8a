"""Publish hints through Celery, and see which are still in the broker.

The only file of the dispatcher that knows Celery, kombu and Redis. Nothing is ever executed here.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
import redis
import structlog
from celery import Celery
from kombu import Connection
from kombu.exceptions import KombuError, OperationalError

from promptmill.producer.redis_trouble import trouble_of
from promptmill.schema.broker import aside_key, broker_options, broker_url, list_keys
from promptmill.schema.errors import ServiceError
from promptmill.schema.hint import queue_name, task_id, task_name
from promptmill.schema.moves.queueing import Queued
from promptmill.schema.redis_urls import redis_py_url, shown
from promptmill.schema.settings import Settings

_log = structlog.get_logger(__name__)
_PIPELINE = 500
"""messages sent in one go"""
_SLICE = 1000
"""messages read in one go, about a megabyte"""


class BrokerLostError(ServiceError):
    """Redis did not answer; what was being published may or may not have arrived."""


class _Headers(msgspec.Struct, frozen=True):
    id: str


class _Message(msgspec.Struct, frozen=True):
    headers: _Headers


def make_sender(settings: Settings) -> "HintSender":
    """Make a sender for the broker of these settings; nothing is connected yet."""
    return HintSender(_sending_app(settings), settings)


class HintSender:
    """Sends hints to the queues of the providers. For one thread."""

    def __init__(self, app: Celery, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._connection: Connection | None = None
        self._producer: Any = None
        # A client of our own, since kombu's does not put the prefix before the key of LRANGE.
        self._redis = redis.Redis.from_url(
            redis_py_url(broker_url(settings)), socket_timeout=10.0, **_connect_timeout(settings)
        )

    def ping(self) -> None:
        """Raise BrokerLostError unless the broker answers."""
        with self._lost():
            self._redis.ping()

    def publish(self, jobs: Sequence[tuple[Queued, int]]) -> None:
        """Publish a hint for each (job, step of priority).

        Raises BrokerLostError; then any part of them may have arrived.
        """
        with self._lost():
            producer = self._open_producer()
            with producer.batch(_PIPELINE):
                for job, step in jobs:
                    self._send(producer, job, step)

    def depth(self, provider: str) -> int:
        """Count the messages in the queue of *provider*."""
        with self._lost(), self._redis.pipeline(transaction=False) as pipeline:
            for key in list_keys(self._settings, queue_name(provider)):
                pipeline.llen(key)
            return sum(pipeline.execute())

    def held_jobs(self, provider: str) -> set[int]:
        """Read which jobs have a hint in the queue of *provider*."""
        held: set[int] = set()
        with self._lost():
            for key in list_keys(self._settings, queue_name(provider)):
                for message in self._messages(key):
                    held |= _job_of(message)
        return held

    def close(self) -> None:
        """Close all connections."""
        self._drop()
        self._redis.close()

    def _send(self, producer: Any, job: Queued, step: int) -> None:
        self._app.send_task(
            task_name(job.provider),
            (job.job_id, job.dispatch_no),
            task_id=task_id(job.job_id),
            queue=queue_name(job.provider),
            priority=step,
            retries=job.attempts,
            argsrepr=f"batch {job.batch_id} line {job.position} {job.model}"
            f" attempt {job.attempts + 1}",
            kwargsrepr="",
            ignore_result=True,
            retry=False,
            declare=[],
            producer=producer,
            add_to_parent=False,
        )

    def _messages(self, key: str) -> Iterator[bytes]:
        """Read a list from the end that is pushed to: what is popped meanwhile shifts nothing."""
        start = 0
        while found := self._redis.lrange(key, start, start + _SLICE - 1):
            yield from found  # type: ignore[misc]
            start += _SLICE

    def _open_producer(self) -> Any:
        if self._producer is None:
            # Kombu would sleep and try again, for ever, where it opens a connection by itself.
            self._redis.ping()
            self._connection = self._app.connection_for_write()
            self._producer = self._app.amqp.Producer(self._connection.channel(), auto_declare=False)
        return self._producer

    @contextmanager
    def _lost(self) -> Iterator[None]:
        try:
            yield
        except (redis.RedisError, KombuError, OperationalError, OSError) as error:
            self._drop()
            cause = error.__cause__ or error
            if "WRONGTYPE" in str(cause):
                self._set_aside()
            where = shown(redis_py_url(broker_url(self._settings)))
            msg = f"{where} {trouble_of(cause)}"
            raise BrokerLostError(msg) from error

    def _set_aside(self) -> None:
        """Rename what is no list, under the name of a queue: it would stop every other queue too.

        A worker does so as well, but of that provider there may be none.
        """
        prefix = self._settings.key_prefix
        for provider in self._settings.providers:
            for key in list_keys(self._settings, queue_name(provider)):
                with suppress(redis.RedisError):  # the next round is there for that
                    if self._redis.type(key) not in (b"list", b"none"):
                        self._redis.rename(key, aside_key(prefix, key.removeprefix(prefix)))
                        _log.warning("queue set aside", queue=queue_name(provider))

    def _drop(self) -> None:
        connection, self._connection, self._producer = self._connection, None, None
        if connection is not None:
            connection.collect(socket_timeout=0.1)


def _sending_app(settings: Settings) -> Celery:
    app = Celery("promptmill.dispatch", set_as_current=False)
    app.conf.update(
        broker_url=broker_url(settings),
        broker_transport_options=broker_options(settings),
        broker_connection_retry=False,
        result_backend=None,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_publish_retry=False,
        task_send_sent_event=False,
    )
    return app


def _connect_timeout(settings: Settings) -> dict[str, float]:
    """Set it where redis-py takes it: not for a unix socket."""
    is_socket = redis_py_url(broker_url(settings)).startswith("unix:")
    return {} if is_socket else {"socket_connect_timeout": 5.0}


def _job_of(message: bytes) -> set[int]:
    """Read the job's id out of a Celery message; empty for one that is not ours."""
    try:
        name = msgspec.json.decode(message, type=_Message).headers.id
    except msgspec.DecodeError:
        return set()
    number = name.removeprefix(task_id(0)[:-1])
    return {int(number)} if number.isdecimal() else set()
