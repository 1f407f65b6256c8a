"""Calls for vectors: intended, closed and paid as attempts are, and of no job."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from promptmill.schema.moves.embedder_calls import (
    Intent,
    end_call,
    end_lost_calls,
    intend_call,
    lost_calls,
)
from promptmill.schema.moves.endings import Attempted, finish
from promptmill.schema.moves.pruning import Pruned, prune_chunk
from promptmill.schema.moves.similar import NewEntry, kept_vectors, remember
from promptmill.schema.moves.spending import Reservation, pause_used_up, read_spending
from promptmill.schema.moves.steering import pause_batch
from promptmill.schema.outcomes import AttemptOutcome, Usage
from promptmill.schema.pauses import pause_provider
from promptmill.schema.presence import register_worker, stop_worker
from promptmill.schema.totals import cache_totals
from tests.schema.scene import ANSWER, ANSWERED, CUT, MODEL, PROVIDER, Scene

EMBEDDED = Attempted(
    AttemptOutcome.SUCCEEDED, http_status=200, latency_ms=90, usage=Usage(50, 0), cost_micros=7
)


def intended(scene: Scene, batch: int, **changes: Any) -> int | None:
    intent = Intent(batch, PROVIDER, "vectors-1", "k1", "w1", texts=3, most_micros=40)
    with scene.database.write() as connection:
        return intend_call(connection, replace(intent, **changes))


def ended(scene: Scene, call: int | None, attempted: Attempted = EMBEDDED) -> bool:
    assert call is not None
    with scene.database.write() as connection:
        return end_call(connection, call, attempted)


def spending(scene: Scene, batch: int) -> Sequence[int]:
    """What is spent, reserved and perhaps spent."""
    with scene.database.read() as connection:
        found = read_spending(connection, [batch])[batch]
    return (found.spent, found.reserved, found.unknown)


def test_its_cost_is_the_batch_s_and_it_is_written_once(scene: Scene) -> None:
    batch = scene.load(2, budget_micros=100)
    call = intended(scene, batch)
    assert spending(scene, batch) == (0, 40, 0)
    assert ended(scene, call)
    assert not ended(scene, call, replace(EMBEDDED, cost_micros=70))
    assert spending(scene, batch) == (7, 0, 0)
    (used,) = scene.sql(f"select * from promptmill_usage_by_model where batch_id = {batch}")
    assert (used.model, used.calls, used.input_tokens, used.hits) == ("vectors-1", 1, 50, 0)
    (whole,) = scene.sql(f"select cost_usd from promptmill_batches where batch_id = {batch}")
    assert whole.cost_usd == pytest.approx(7e-6)
    scene.assert_sums()


def test_it_is_no_miss_of_the_cache(scene: Scene) -> None:
    batch = scene.load(1, cache_s=60)
    ended(scene, intended(scene, batch))
    ((job, fence),) = scene.claim(*scene.queue(batch)).items()
    scene.close(finish(job, fence, ANSWERED, ANSWER))
    with scene.database.read() as connection:
        assert cache_totals(connection) == {(PROVIDER, MODEL): (0, 1)}


def test_none_is_made_beyond_a_budget_nor_of_a_price_that_nobody_knows(scene: Scene) -> None:
    batch = scene.load(2, budget_micros=100)
    assert intended(scene, batch, most_micros=101) is None
    assert intended(scene, batch, most_micros=None) is None
    assert scene.count("embedder_calls") == 0
    assert spending(scene, batch) == (0, 0, 0)
    assert intended(scene, scene.load(), most_micros=None) is not None


def test_what_it_wants_holds_up_no_prompt_and_a_batch_waits_for_it(scene: Scene) -> None:
    batch = scene.load(1, budget_micros=100)
    call = intended(scene, batch)
    (hint,) = scene.queue(batch)
    wanted = {hint.job_id: Reservation(batch, 80)}
    assert scene.claim(hint, reservations=wanted) == {}
    with scene.database.write() as connection:
        assert pause_used_up(connection) == [], "what it gives back may be enough"
    ended(scene, call)
    assert hint.job_id in scene.claim(hint, reservations=wanted)


@pytest.mark.parametrize("paused", ["batch", "key", "model"])
def test_none_is_made_of_what_is_paused(scene: Scene, paused: str) -> None:
    batch = scene.load(1)
    with scene.database.write() as connection:
        if paused == "batch":
            pause_batch(connection, batch, "by hand")
        else:
            model = "vectors-1" if paused == "model" else ""
            pause_provider(
                connection,
                provider=PROVIDER,
                fingerprint="k1",
                kind="money",
                reason="none left",
                model=model,
            )
    assert intended(scene, batch) is None


def test_what_a_worker_leaves_open_is_unknown_until_it_is_told_better(scene: Scene) -> None:
    batch = scene.load(1, budget_micros=100)
    with scene.database.write() as connection:
        keys = {PROVIDER: "k1"}
        register_worker(
            connection, worker_id="w1", host="h", pid=1, version="1", keys=keys, concurrency=1
        )
    call = intended(scene, batch)
    with scene.database.write() as connection:
        assert lost_calls(connection, most=10) == []
        stop_worker(connection, "w1")
        lost = lost_calls(connection, most=10)
        assert lost == [call]
        assert end_lost_calls(connection, lost, reason="it was lost") == 1
        assert end_lost_calls(connection, lost, reason="it was lost") == 0
    (row,) = scene.sql("select * from promptmill_embedder_calls")
    assert (row.outcome, row.error_code, row.texts) == ("unknown", "worker_lost", 3)
    assert spending(scene, batch) == (0, 0, 40)
    scene.assert_sums()
    assert ended(scene, call)
    assert spending(scene, batch) == (7, 0, 0)
    assert not ended(scene, call, CUT)
    scene.assert_sums()


def test_a_vector_is_found_by_its_job_and_scope_and_calls_are_pruned(scene: Scene) -> None:
    batch = scene.load(2)
    one, two = scene.ids(batch)
    ended(scene, intended(scene, batch))
    with scene.database.write() as connection:
        remember(connection, [NewEntry(one, "scope", "AAA="), NewEntry(two, "other", "BBB=")])
        asked = [(one, "scope"), (two, "scope")]
        assert kept_vectors(connection, asked) == {one: "AAA="}
        prune_chunk(connection, batch, Pruned.PROMPTS, after=0, most=10)
        assert kept_vectors(connection, asked) == {}
    assert scene.count("embedder_calls") == 0
