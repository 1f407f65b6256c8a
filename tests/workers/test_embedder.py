"""Similar prompts by vectors of a provider: what is near is found, and what that costs is booked.

A worker in this process, and no dispatcher: its hints come from the test.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from promptmill.producer.reading import ReadOptions
from promptmill.producer.submitting.answer_cache import AnswerCache
from promptmill.producer.submitting.request import SubmitRequest
from promptmill.producer.submitting.submission import submit
from promptmill.schema.hint import Hint
from promptmill.schema.moves.queueing import Queued, queue_pending, queue_waiting
from promptmill.schema.settings import CacheSettings
from promptmill.workers.runtime import Runtime
from tests.services.running_mill import MODELS, OPENAI, RunningMill
from tests.services.waiting import wait_until
from tests.services.world import assert_world

OF_OPENAI, OF_GEMINI = "openai/text-embedding-3-small", "gemini/gemini-embedding-001"
MODEL = MODELS[OPENAI]
ASKED = (
    "Which bridge in {} is the oldest?",
    "Who built the tower of {}?",
    "When is high tide at {}?",
)
NEAR, FAR = "The oldest bridge in {} is which?", "Which bridge in {} was painted red last year?"


@pytest.fixture
def mill(idle_mill: RunningMill) -> RunningMill:
    """Where no dispatcher would send out the hints that the test gives to its worker."""
    return idle_mill


@asynccontextmanager
async def at_work(mill: RunningMill, embedder: str) -> AsyncIterator[Runtime]:
    cache = CacheSettings(embedder=embedder)
    runtime = Runtime(mill.settings.model_copy(update={"cache": cache}), [OPENAI], taken=list)
    await runtime.start()
    try:
        yield runtime
    finally:
        await runtime.stop()


def submitted(mill: RunningMill, path: Path, texts: Sequence[str]) -> tuple[int, list[Hint]]:
    """Submit *texts* as a batch with a cache of similar ones, and queue them."""
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    reading = ReadOptions(template="{text}", model=f"{OPENAI}/{MODEL}")
    request = SubmitRequest(path, reading, cache=AnswerCache(3600, 0.95))
    batch = submit(mill.database, request, mill.settings).batch_id
    with mill.database.write() as connection:
        queued = queue_pending(
            connection, batch_id=batch, provider=OPENAI, model=MODEL, most=len(texts)
        )
    return batch, [one.hint for one in queued]


async def answered(mill: RunningMill, runtime: Runtime, path: Path, texts: Sequence[str]) -> int:
    """Submit *texts*, and take each prompt once."""
    batch, hints = await asyncio.to_thread(submitted, mill, path, texts)
    await asyncio.gather(*(runtime.complete(OPENAI, hint) for hint in hints))
    return batch


def due(mill: RunningMill) -> Sequence[Queued]:
    with mill.database.write() as connection:
        return queue_waiting(connection, provider=OPENAI, model=MODEL, most=1)


def texts_embedded(mill: RunningMill) -> int:
    sent = "outcome <> 'not_sent'"
    (row,) = mill.sql(
        f"select coalesce(sum(texts), 0) as n from promptmill_embedder_calls where {sent}"
    )
    return int(row["n"])


@pytest.mark.parametrize(("embedder", "town"), [(OF_OPENAI, "Porto"), (OF_GEMINI, "Braga")])
def test_what_means_the_same_is_found_and_the_bill_is_equal(
    mill: RunningMill, tmp_path: Path, embedder: str, town: str
) -> None:
    def asked(*texts: str) -> list[str]:
        return [text.format(town) for text in texts]

    async def scene() -> None:
        async with at_work(mill, embedder) as runtime:
            first = await answered(mill, runtime, tmp_path / "a.jsonl", asked(*ASKED))
            assert mill.states(first) == {"succeeded": 3}
            before = texts_embedded(mill)
            second = await answered(mill, runtime, tmp_path / "b.jsonl", asked(NEAR, FAR))
            assert mill.states(second) == {"succeeded": 2}
            assert mill.requests(second) == 1, "words in another order are near by their vectors"
            (hit,) = mill.sql(
                "select r.batch_id, h.embedder, h.similarity from similar_hits h"
                f" join promptmill_results r on r.job_id = h.job_id where r.batch_id = {second}"
            )
            assert (hit["embedder"], round(hit["similarity"], 2)) == (embedder, 1.0)
            models = mill.sql(
                f"select model, cost_usd from promptmill_usage_by_model where batch_id = {second}"
            )
            costs = {row["model"]: row["cost_usd"] for row in models}
            assert costs.keys() == {MODEL, embedder.partition("/")[2]}
            (whole,) = mill.sql(f"select * from promptmill_batches where batch_id = {second}")
            assert whole["cost_usd"] == pytest.approx(sum(costs.values()))
            assert texts_embedded(mill) == before + 2

            # Who is asked again has its vector already.
            mill.simulator.add_fault("server_error", contains="low tide", model=MODEL, count=1)
            asks = asked("And when is low tide at {}?")
            third = await answered(mill, runtime, tmp_path / "c.jsonl", asks)
            (again,) = await asyncio.to_thread(wait_until, lambda: due(mill), "the retry to be due")
            await runtime.complete(OPENAI, again.hint)
            assert mill.states(third) == {"succeeded": 1}
            assert texts_embedded(mill) == before + 3

    asyncio.run(scene())
    assert_world(mill)


def test_no_prompt_fails_since_its_vector_does(mill: RunningMill, tmp_path: Path) -> None:
    mill.simulator.add_fault("server_error", model="text-embedding", count=1)

    async def scene() -> None:
        async with at_work(mill, OF_OPENAI) as runtime:
            before = texts_embedded(mill)
            for text in ("How deep is the Douro?", "How wide is the Tejo?"):
                batch = await answered(mill, runtime, tmp_path / "a.jsonl", [text])
                assert mill.states(batch) == {"succeeded": 1}
            assert texts_embedded(mill) == before + 1, "it rests after a call that failed"

    with capture_logs() as logs:
        asyncio.run(scene())
    (told,) = [line for line in logs if line["event"] == "embedder refused"]
    assert (told["reason"], told["log_level"]) == ("transient 500 server_error", "warning")
    (call,) = mill.sql("select * from promptmill_embedder_calls where outcome = 'refused'")
    assert call["http_status"] == 500
    assert_world(mill)


def test_an_embedder_that_is_not_there_is_told_of_and_nothing_is_compared(
    mill: RunningMill, tmp_path: Path
) -> None:
    async def scene() -> int:
        async with at_work(mill, "nobody/text-embedding-3-small") as runtime:
            return await answered(mill, runtime, tmp_path / "a.jsonl", ["Is it warm in Faro?"])

    with capture_logs() as logs:
        batch = asyncio.run(scene())
    assert mill.states(batch) == {"succeeded": 1}
    assert "nothing is compared" in {line["event"] for line in logs}
