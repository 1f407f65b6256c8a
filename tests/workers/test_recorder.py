"""The recorder on real SQL, each engine in turn."""

import asyncio
from collections.abc import Iterator

import pytest

from promptmill.schema.hint import Hint
from promptmill.schema.moves import endings
from promptmill.schema.moves.endings import StoredResult
from promptmill.workers.recorder import Recorder
from promptmill.workers.spool import Spool
from promptmill.workers.writes import Stored
from tests.schema.scene import ANSWER, ANSWERED, BROKEN, Scene

UNSTORABLE = StoredResult("half a pair: \ud800", "stop")
"""text that the worker would have cleaned; both engines refuse it"""


@pytest.fixture
def recorder(scene: Scene, spool: Spool) -> Iterator[Recorder]:
    recorder = Recorder(scene.database, worker_id="w1", group_rows=50, group_s=0.02, spool=spool)
    yield recorder
    recorder.stop(10)


def close_all(recorder: Recorder, claims: dict[int, int], refused: set[int]) -> dict[int, Stored]:
    async def close() -> list[Stored]:
        ends = [
            recorder.close(
                endings.finish(job, fence, ANSWERED, UNSTORABLE if job in refused else ANSWER)
            )
            for job, fence in claims.items()
        ]
        return await asyncio.gather(*ends)

    return dict(zip(claims, asyncio.run(close()), strict=True))


def test_a_row_that_sql_refuses_does_not_take_others_with_it(
    scene: Scene, recorder: Recorder
) -> None:
    claims = scene.claim(*scene.queue(scene.load(40)))
    refused = set(list(claims)[7:9])
    told = close_all(recorder, claims, refused)
    assert {job for job, stored in told.items() if stored is Stored.HELD} == refused
    assert {job for job, stored in told.items() if stored is Stored.MOVED} == {*claims} - refused
    scene.assert_sums()


def test_of_two_like_hints_one_claims(scene: Scene, recorder: Recorder) -> None:
    (hint,) = scene.queue(scene.load(1))

    async def claim_twice() -> set[int | None]:
        return {*await asyncio.gather(recorder.claim(hint, "k"), recorder.claim(hint, "k"))}

    assert asyncio.run(claim_twice()) == {1, None}


def test_a_peek_finds_due_jobs_only(scene: Scene, recorder: Recorder) -> None:
    good, stale = scene.queue(scene.load(2))

    async def peek() -> list[bool]:
        hints = (good, Hint(stale.job_id, stale.dispatch_no - 1), Hint(999_999, 1))
        return [await recorder.peek(hint) is not None for hint in hints]

    assert asyncio.run(peek()) == [True, False, False]


def test_different_writes_of_one_group_are_all_done(scene: Scene, recorder: Recorder) -> None:
    claimed, given_back, put_off, ended = scene.queue(scene.load(4))
    fence = scene.claim(ended)[ended.job_id]

    async def write() -> None:
        await asyncio.gather(
            recorder.claim(claimed, "k"),
            recorder.unqueue(given_back),
            recorder.postpone(put_off, 5.0),
            recorder.close(endings.finish(ended.job_id, fence, ANSWERED, ANSWER)),
        )

    asyncio.run(write())
    hints = (claimed, given_back, put_off, ended)
    assert [scene.job(hint.job_id).state for hint in hints] == [2, 0, 3, 4]


def test_a_retry_is_queued_by_its_worker_only_when_due_and_before_dispatch_does(
    scene: Scene, recorder: Recorder
) -> None:
    early, due, taken = scene.queue(scene.load(3))
    claims = scene.claim(early, due, taken)
    for hint, delay_s in ((early, 60.0), (due, 1.0), (taken, 1.0)):
        scene.close(endings.retry(hint.job_id, claims[hint.job_id], BROKEN, delay_s))
    scene.clock.advance(2.0)
    assert len(scene.queue_due(most=1)) == 1
    first = next(hint for hint in (due, taken) if scene.job(hint.job_id).state == 1)
    second = due if first is taken else taken

    async def requeue() -> list[bool]:
        return [await recorder.requeue(hint) for hint in (early, first, second)]

    assert asyncio.run(requeue()) == [False, False, True]
    assert [scene.job(hint.job_id).state for hint in (early, first, second)] == [3, 1, 1]
    assert scene.job(second.job_id).dispatch_no == second.dispatch_no
