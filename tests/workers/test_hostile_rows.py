"""Rows that SQL refuses, each inside a group of 50: the others are stored, and it is kept.

The worker cleans answers before (see test_ending.py); these are what a hole in that would let by.
"""

import asyncio
import base64
from collections.abc import Iterator
from dataclasses import replace

import pytest

from promptmill.schema.moves import endings
from promptmill.schema.moves.endings import Attempted, Closing, StoredResult
from promptmill.schema.outcomes import AttemptOutcome, Usage
from promptmill.schema.states import JobState
from promptmill.workers.recorder import Recorder
from promptmill.workers.spool import Record, Spool
from promptmill.workers.writes import Stored
from tests.schema.scene import ANSWER, ANSWERED, Scene

GROUP = 50
NOT_A_NUMBER = float("nan")

HOSTILE: dict[str, tuple[Attempted, StoredResult]] = {
    "half a pair of surrogates": (ANSWERED, replace(ANSWER, text="five \ud83d")),
    "a cost that is not a number": (replace(ANSWERED, cost_micros=NOT_A_NUMBER), ANSWER),  # type: ignore[arg-type]
    "no finish reason": (ANSWERED, replace(ANSWER, finish_reason=None)),  # type: ignore[arg-type]
}
HOSTILE_TO_POSTGRESQL: dict[str, tuple[Attempted, StoredResult]] = {
    "more tokens than a column holds": (replace(ANSWERED, usage=Usage(2**63, 1)), ANSWER),
    "more tokens than any integer type": (replace(ANSWERED, usage=Usage(2**80, 1)), ANSWER),
    "a status that is none": (replace(ANSWERED, http_status=10**9), ANSWER),
    "NUL": (ANSWERED, replace(ANSWER, text="five \x00")),
    "tool calls that are not JSON": (ANSWERED, replace(ANSWER, tool_calls='[{"a": NaN}]')),
    "tool calls nested 100,000 deep": (ANSWERED, replace(ANSWER, tool_calls="[" * 100_000)),
}


@pytest.fixture
def recorder(scene: Scene, spool: Spool) -> Iterator[Recorder]:
    recorder = Recorder(scene.database, worker_id="w1", group_rows=GROUP, group_s=5.0, spool=spool)
    yield recorder
    recorder.stop(10)


def a_group_with(
    scene: Scene, attempted: Attempted, result: StoredResult
) -> tuple[list[Closing], int]:
    """Claim 50 jobs; return their ends, and the job whose end is hostile."""
    claims = scene.claim(*scene.queue(scene.load(GROUP)))
    bad = list(claims)[17]
    ends = [
        endings.finish(job, fence, *((attempted, result) if job == bad else (ANSWERED, ANSWER)))
        for job, fence in claims.items()
    ]
    return ends, bad


def assert_one_is_held(scene: Scene, bad: int) -> None:
    states = {row.id: row.state for row in scene.sql("select id, state from jobs")}
    assert states.pop(bad) == JobState.QUARANTINED
    assert set(states.values()) == {JobState.SUCCEEDED}
    assert scene.count("results") == GROUP - 1
    attempt = scene.attempt(bad, 1)
    assert attempt.outcome == AttemptOutcome.REFUSED
    assert (attempt.error_kind, attempt.error_code) == ("bad_response", "unstorable")
    assert attempt.error_text.startswith("what came could not be stored")
    scene.assert_sums()


def hold_one_of_a_group(
    scene: Scene, recorder: Recorder, attempted: Attempted, result: StoredResult
) -> int:
    ends, bad = a_group_with(scene, attempted, result)

    async def close() -> list[Stored]:
        return await asyncio.gather(*(recorder.close(end) for end in ends))

    told = dict(zip((end.job_id for end in ends), asyncio.run(close()), strict=True))
    assert told.pop(bad) is Stored.HELD
    assert set(told.values()) == {Stored.MOVED}
    assert_one_is_held(scene, bad)
    return bad


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_answer_in_a_group_is_held_and_49_are_stored(
    scene: Scene, recorder: Recorder, what: str
) -> None:
    hold_one_of_a_group(scene, recorder, *HOSTILE[what])


@pytest.mark.parametrize("what", HOSTILE_TO_POSTGRESQL)
@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_what_only_postgresql_refuses_is_held_too(
    scene: Scene, recorder: Recorder, what: str
) -> None:
    hold_one_of_a_group(scene, recorder, *HOSTILE_TO_POSTGRESQL[what])


def test_what_came_is_kept_beside_the_held_job_with_its_cost(
    scene: Scene, recorder: Recorder
) -> None:
    bad = hold_one_of_a_group(scene, recorder, *HOSTILE["half a pair of surrogates"])
    (body,) = scene.sql("select * from attempt_bodies")
    assert base64.b64decode(body.body_base64) == "five \ud83d".encode("utf-8", "surrogatepass")
    attempt = scene.attempt(bad, 1)
    assert (attempt.output_tokens, attempt.cost_micros) == (20, 1500)


def test_a_hostile_answer_in_the_spool_is_held_when_it_is_stored(
    scene: Scene, recorder: Recorder, spool: Spool
) -> None:
    ends, bad = a_group_with(scene, *HOSTILE["half a pair of surrogates"])
    spool.keep([Record(end, ("w1",)) for end in ends])
    spool.close()
    recorder.store_leftovers()
    assert_one_is_held(scene, bad)
    assert list(spool.folder.iterdir()) == []
