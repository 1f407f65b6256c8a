"""A hint is what Celery expects, carries ids only, and is published in one go."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection

from promptmill.producer.dispatching.broker import BrokerLostError, HintSender, make_sender
from promptmill.schema.broker import (
    BULK_STEP,
    URGENT_STEP,
    aside_key,
    broker_options,
    broker_url,
    list_keys,
    step_of,
)
from promptmill.schema.errors import SettingsError
from promptmill.schema.hint import queue_name
from promptmill.schema.moves.queueing import Queued
from promptmill.schema.secret import Secret
from promptmill.schema.settings import Settings
from tests.services.valkey import Valkey

JOB = Queued(4711, 2, 3, 77, "openai", "gpt-4o-mini", 1)


@pytest.fixture
def settings(valkey: Valkey) -> Settings:
    return Settings(redis_url=valkey.url)


@pytest.fixture
def sender(settings: Settings) -> HintSender:
    return make_sender(settings)


def test_a_hint_is_a_celery_task_that_carries_ids_only(
    settings: Settings, sender: HintSender
) -> None:
    sender.publish([(JOB, BULK_STEP)])
    options = broker_options(settings)
    with Connection(broker_url(settings), transport_options=options) as connection:
        channel: Any = connection.channel()
        message = channel.basic_get(queue_name("openai"), no_ack=True)
    args, kwargs, embedded = message.payload
    assert (args, kwargs) == ([4711, 2], {})
    assert not any(embedded.values())
    told = {name: message.headers[name] for name in ("task", "id", "retries", "kwargsrepr")}
    assert told == {
        "task": "promptmill.complete.openai",
        "id": "job-4711",
        "retries": 1,
        "kwargsrepr": "",
    }
    assert message.headers["argsrepr"] == "batch 3 line 77 gpt-4o-mini attempt 2"
    assert message.content_type == "application/json"
    sender.close()


def test_a_thousand_hints_go_in_few_round_trips(valkey: Valkey, sender: HintSender) -> None:
    sender.publish([(JOB, BULK_STEP)])
    before = valkey.client.info("stats")["total_reads_processed"]
    sender.publish([(JOB, BULK_STEP)] * 1000)
    assert valkey.client.info("stats")["total_reads_processed"] - before < 500
    assert sender.depth("openai") == 1001
    sender.close()


def test_urgent_hints_are_served_first_and_all_are_seen(valkey: Valkey, sender: HintSender) -> None:
    others = [Queued(n, 1, 1, n, "openai", "m", 0) for n in range(1, 2501)]
    sender.publish([(job, step_of(0)) for job in others])
    sender.publish([(JOB, step_of(1))])
    assert sender.held_jobs("openai") == {4711, *range(1, 2501)}
    assert sender.held_jobs("gemini") == set()
    assert sender.depth("openai") == 2501
    assert valkey.client.llen("promptmill:promptmill.openai") == 1
    assert URGENT_STEP < BULK_STEP
    sender.close()


def test_a_lost_broker_is_one_error_and_comes_back(short_folder: Path) -> None:
    with Valkey(short_folder) as server:
        sender = make_sender(Settings(redis_url=server.url))
        sender.publish([(JOB, BULK_STEP)])
        server.stop()
        for order in (
            lambda: sender.publish([(JOB, BULK_STEP)]),
            sender.ping,
            lambda: sender.depth("openai"),
            lambda: sender.held_jobs("openai"),
        ):
            with pytest.raises(BrokerLostError, match=r"unix:.* does not answer: ConnectionError"):
                order()
        server.start()
        server.client.flushall()
        sender.publish([(JOB, BULK_STEP)])
        assert sender.depth("openai") == 1
        sender.close()


def test_what_is_no_list_is_set_aside_also_where_no_worker_reads_it(
    valkey: Valkey, settings: Settings, sender: HintSender
) -> None:
    keys = list_keys(settings, queue_name("anthropic"))
    orders: list[Callable[[], object]] = [
        lambda: sender.depth("anthropic"),
        lambda: sender.held_jobs("anthropic"),
        lambda: sender.publish([(replace(JOB, provider="anthropic"), BULK_STEP)]),
    ]
    for order in orders:
        valkey.client.delete(*keys)
        valkey.client.set(keys[-1], "somebody else's")
        with pytest.raises(BrokerLostError):
            order()
        order()
    aside = aside_key(settings.key_prefix, keys[-1].removeprefix(settings.key_prefix))
    assert valkey.client.get(aside) == b"somebody else's"
    assert sender.depth("anthropic") == 1
    sender.close()


def test_the_password_is_put_in_and_shown_to_nobody() -> None:
    settings = Settings(redis_url="redis://h:1/2", redis_password=Secret("p@ss"))
    assert broker_url(settings) == "redis://:p%40ss@h:1/2"
    assert "p@ss" not in repr(settings)
    assert broker_url(Settings(redis_url="rediss://h/0")) == "rediss://h/0"
    assert broker_url(Settings(redis_url="unix:///run/r.sock")) == "redis+socket:///run/r.sock"


def test_without_a_redis_it_is_said_what_to_set() -> None:
    with pytest.raises(SettingsError, match="PROMPTMILL_REDIS_URL"):
        broker_url(Settings())


def test_the_options_are_plain_data_that_a_worker_takes_as_they_are(settings: Settings) -> None:
    options = broker_options(settings)
    assert json.loads(json.dumps(options)) == options
    assert "retry_on_timeout" not in options
