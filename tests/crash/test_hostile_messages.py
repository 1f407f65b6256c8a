"""What others put into Redis stops no worker, and is not run."""

from functools import partial
from pathlib import Path
from typing import Any

from promptmill.schema.broker import list_keys
from promptmill.schema.hint import queue_name
from tests.crash.conftest import MakeMill
from tests.crash.hostile import hostile_messages, push
from tests.services.running_mill import OPENAI, RunningMill
from tests.services.waiting import wait_until
from tests.services.world import assert_world

JOBS = 20


def test_messages_that_nobody_of_us_wrote_stop_no_worker_and_are_not_run(
    make_mill: MakeMill, tmp_path: Path
) -> None:
    mill = make_mill()
    pickled = tmp_path / "pickled"
    messages = hostile_messages(str(pickled)).values()
    push(mill, *messages)
    mill.start_dispatcher()
    worker = mill.start_worker(OPENAI)
    batch = mill.load(JOBS)
    assert mill.wait_done(batch) == {"succeeded": JOBS}
    assert mill.requests(batch) == JOBS

    client, orders = mill.valkey.client, f"{mill.settings.key_prefix}/0.celery.pidbox"
    for message in (*messages, b"[" * 100_000):
        wait_until(partial(client.publish, orders, message), "the worker to take orders")
    assert mill.wait_done(mill.load(JOBS)) == {"succeeded": JOBS}

    log = worker.log.read_text()
    assert not worker.has_ended
    assert "messages dropped" in log
    assert "Connection to broker lost" not in log
    assert not pickled.exists()
    assert_world(mill)


def is_begun(mill: RunningMill, batch: int) -> bool:
    return "succeeded" in mill.states(batch)


def test_what_is_no_list_is_set_aside_and_the_jobs_are_hinted_again(make_mill: MakeMill) -> None:
    mill = make_mill(WORKER__CONCURRENCY="2")
    mill.simulator.configure(latency_s=0.1)
    mill.start_dispatcher()
    client: Any = mill.valkey.client
    prefix = mill.settings.key_prefix
    keys = list_keys(mill.settings, queue_name(OPENAI))
    aside = [f"{prefix}refused:{key.removeprefix(prefix)}" for key in keys]

    for when in ("before the worker starts", "while it works"):
        batch = mill.load(JOBS)
        if when == "while it works":
            wait_until(partial(is_begun, mill, batch), "an answer")
        for key in keys:
            client.set(key, when)
        if not mill.workers:
            mill.start_worker(OPENAI)
        assert mill.wait_done(batch) == {"succeeded": JOBS}, when
        assert mill.requests(batch) == JOBS, when
        assert [client.get(key) for key in aside] == [when.encode()] * len(keys)
    assert not mill.workers[0].has_ended
    assert_world(mill)
