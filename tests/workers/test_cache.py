"""Equal prompts through real workers: each is called once, whoever asks, and whatever breaks."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.services.celery_events import CeleryEvents
from tests.services.running_mill import OPENAI, RunningMill, Worker
from tests.services.waiting import wait_until

HOUR = 3600


@pytest.fixture(scope="module", autouse=True)
def two_workers(mill: RunningMill, worker: Worker) -> Iterator[None]:
    """Another process beside the one that all tests of a module share."""
    another = mill.start_worker(OPENAI)
    yield
    another.kill()


def texts(mill: RunningMill, batch_id: int) -> list[tuple[str, str]]:
    rows = mill.sql(
        "select p.request_hash, r.text from results r join job_payloads p on p.job_id = r.job_id"
        f" where r.batch_id = {batch_id} order by r.job_id"
    )
    return [(row["request_hash"], row["text"]) for row in rows]


def usage(mill: RunningMill, batch_id: int) -> dict[str, Any]:
    (row,) = mill.sql(f"select * from promptmill_usage_by_model where batch_id = {batch_id}")
    return row


def test_prompts_that_repeat_are_called_once_over_two_workers(mill: RunningMill) -> None:
    batch = mill.load(300, different=150, say="repeats", cache_s=HOUR)
    assert mill.wait_done(batch) == {"succeeded": 300}
    assert mill.requests(batch) == 150
    told = texts(mill, batch)
    assert len(set(told)) == 150, "equal prompts have equal answers"
    row = usage(mill, batch)
    assert (row["calls"], row["hits"], row["unpriced_calls"]) == (150, 150, 0)


def test_another_batch_takes_the_answers_of_the_first(
    mill: RunningMill, events: CeleryEvents
) -> None:
    first = mill.load(20, say="once and again")
    without = mill.load(20, say="once and again", cache_s=HOUR)
    third = mill.load(20, say="once and again", cache_s=HOUR)
    for batch in (first, without, third):
        assert mill.wait_done(batch) == {"succeeded": 20}
    assert (mill.requests(first), mill.requests(without) + mill.requests(third)) == (20, 20)
    fourth = mill.load(20, say="once and again", cache_s=HOUR)
    assert mill.wait_done(fourth) == {"succeeded": 20}
    assert mill.requests(fourth) == 0
    (job, *_) = mill.sql(f"select id from jobs where batch_id = {fourth}")
    done = events.wait_for(job["id"], "task-succeeded")
    assert "cached: the answer of job" in done["result"]


@pytest.mark.parametrize(
    "changed",
    [
        {"temperature": 0.5},
        {"max_tokens": 61},
        {"seed": 7},
        {"messages": [{"role": "system", "content": "Be brief."}]},
        {"model": "another-model"},
        {"providers": ("gemini",)},
    ],
    ids=str,
)
def test_a_parameter_that_is_changed_misses(mill: RunningMill, changed: dict[str, Any]) -> None:
    plain = mill.load(say="parameters", cache_s=HOUR)
    mill.wait_done(plain)
    batch = mill.load(**{"say": "parameters", "cache_s": HOUR, **changed})
    mill.wait_done(batch)
    assert mill.requests(batch) == 1


def test_of_equal_prompts_whose_call_fails_another_one_is_called(mill: RunningMill) -> None:
    mill.simulator.add_fault("invalid_request", contains="fails first", count=1)
    batch = mill.load(4, different=1, say="fails first", cache_s=HOUR)
    assert mill.wait_done(batch) == {"succeeded": 3, "failed": 1}
    assert mill.requests(batch) == 2


def test_a_hit_reserves_nothing_of_a_budget(mill: RunningMill) -> None:
    paid = mill.load(say="budget", cache_s=HOUR)
    mill.wait_done(paid)
    batch = mill.load(say="budget", cache_s=HOUR, budget_micros=1)
    assert mill.wait_done(batch) == {"succeeded": 1}
    assert mill.requests(batch) == 0


def test_an_emptied_redis_costs_calls_and_nothing_else(mill: RunningMill) -> None:
    mill.wait_done(mill.load(5, say="emptied", cache_s=HOUR))
    mill.valkey.flush()
    batch = mill.load(10, different=5, say="emptied", cache_s=HOUR)
    assert mill.wait_done(batch) == {"succeeded": 10}
    assert mill.requests(batch) == 5


def test_what_lies_in_redis_is_not_believed(mill: RunningMill) -> None:
    redis: Any = mill.valkey.client
    other = mill.load(say="something else", cache_s=HOUR)
    mill.wait_done(other)
    (foreign,) = mill.sql(f"select id from jobs where batch_id = {other}")
    before = set(redis.keys("promptmill:cache:*"))
    mill.wait_done(mill.load(say="forged", cache_s=HOUR))
    (key,) = set(redis.keys("promptmill:cache:*")) - before
    redis.set(key, foreign["id"])
    batch = mill.load(say="forged", cache_s=HOUR)
    assert mill.wait_done(batch) == {"succeeded": 1}
    assert mill.requests(batch) == 1
    (job,) = mill.sql(f"select id from jobs where batch_id = {batch}")
    wait_until(lambda: int(redis.get(key)) == job["id"], "the reference to be the new one")


def test_what_is_spelled_otherwise_is_found_over_workers_and_says_how_similar_it_is(
    mill: RunningMill,
) -> None:
    # Of its own: of a form that a worker has just read it sees what others keep a little later.
    form: dict[str, Any] = {"temperature": 0.35, "cache_s": HOUR, "cache_similar": 0.95}
    first = mill.load(say="Which bridge is the oldest?", **form)
    mill.wait_done(first)
    batch = mill.load(say="which Bridge is the oldest", **form)
    assert mill.wait_done(batch) == {"succeeded": 1}
    assert mill.requests(batch) == 0
    (row,) = mill.sql(f"select * from promptmill_results where batch_id = {batch}")
    (source,) = mill.sql(f"select id from jobs where batch_id = {first}")
    assert row["twin_of"] == source["id"]
    assert row["similarity"] >= 0.95


@pytest.mark.parametrize(
    "changed",
    [
        {"say": "Which tower has 8 bells?"},
        {"say": "Who has the key of the tower?"},
        {"temperature": 0.1},
        {"cache_similar": None},
    ],
    ids=str,
)
def test_what_must_be_equal_is_not_crossed(mill: RunningMill, changed: dict[str, Any]) -> None:
    known: dict[str, Any] = {
        "say": "Which tower has 7 bells?",
        "cache_s": HOUR,
        "cache_similar": 0.95,
    }
    mill.wait_done(mill.load(**known))
    batch = mill.load(**{**known, "say": "which tower has 7 bells", **changed})
    mill.wait_done(batch)
    assert mill.requests(batch) == 1
