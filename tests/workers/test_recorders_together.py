"""Several workers write to one PostgreSQL at the same time."""

import asyncio
from threading import Barrier, Thread

import pytest

from promptmill.schema.database import Database
from promptmill.schema.hint import Hint
from promptmill.schema.moves import endings
from promptmill.workers.recorder import Recorder
from promptmill.workers.spool import Spool
from promptmill.workers.writes import Stored
from tests.schema.scene import ANSWER, ANSWERED, MODEL, PROVIDER, Scene, new_jobs

WORKERS = 3
JOBS = 240
IN_HAND = 16
"""jobs of a worker at once: with all of them at once it would claim first, and close after"""


def work(database: Database, name: str, hints: list[Hint], spool: Spool, ready: Barrier) -> None:
    """Claim and close jobs of several batches so that most groups do both."""

    slots = asyncio.Semaphore(IN_HAND)

    async def answer(recorder: Recorder, hint: Hint) -> None:
        async with slots:
            fence = await recorder.claim(hint, "k")
            assert fence is not None
            await asyncio.sleep(hint.job_id % 7 / 1000)
            ended = endings.finish(hint.job_id, fence, ANSWERED, ANSWER)
            assert await recorder.close(ended) is Stored.MOVED

    async def answer_all() -> None:
        recorder = Recorder(database, worker_id=name, group_rows=10, group_s=0.002, spool=spool)
        await asyncio.gather(*(answer(recorder, hint) for hint in hints))
        recorder.stop(10)

    ready.wait()
    asyncio.run(answer_all())


def test_workers_that_claim_and_close_do_not_deadlock(
    postgres_database: Database, spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene(postgres_database)
    jobs = new_jobs(JOBS, provider=PROVIDER, model=MODEL)
    hints = [hint for _ in range(2) for hint in scene.queue(scene.load(JOBS, jobs=jobs), most=JOBS)]
    ready = Barrier(WORKERS)
    threads = [
        Thread(
            target=work, args=(postgres_database, f"w{n}", hints[n::WORKERS][::-1], spool, ready)
        )
        for n in range(WORKERS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert "sql away" not in caplog.text
    assert scene.sql("select count(*) as n from results")[0].n == 2 * JOBS
    scene.assert_sums()
