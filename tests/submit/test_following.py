"""A stream misses no job and repeats none, in whatever order workers commit."""

import asyncio
import random
from collections.abc import Callable
from threading import Thread

import pytest

from promptmill.producer import Batch, api
from promptmill.producer.watching import following
from promptmill.schema import answers
from promptmill.schema.database import Database
from promptmill.schema.moves.closing import close
from promptmill.schema.moves.endings import Closing, fail, finish
from promptmill.schema.new_job import NewJob
from promptmill.schema.settings import Settings
from tests.schema.scene import ANSWER, ANSWERED, PROVIDER, REFUSED, Scene

MODELS = ("a", "b", "c", "d")
WORKERS = 8


@pytest.fixture(autouse=True)
def small_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a look of a small batch as many pieces as that of a large one has."""
    for name, value in (("_PAGE", 7), ("_SCAN", 16), ("_MOST", 40), ("_REST", 0.0)):
        monkeypatch.setattr(following, name, value)
    monkeypatch.setattr(api, "_POLL_S", 0.002)


def running(scene: Scene, count: int) -> tuple[int, list[tuple[int, int]]]:
    """Load *count* jobs of four models and claim them all; return batch and (job, fence) pairs."""
    jobs = [
        NewJob(n, f"row-{n}", PROVIDER, MODELS[n % 4], "{}", f"{n:064x}")
        for n in range(1, count + 1)
    ]
    batch = scene.load(count, jobs=jobs)
    hints = [hint for model in MODELS for hint in scene.queue(batch, model=model, most=count)]
    return batch, list(scene.claim(*hints).items())


def end(job: tuple[int, int]) -> Closing:
    return fail(*job, REFUSED) if job[0] % 5 == 0 else finish(*job, ANSWERED, ANSWER)


def work(url: str, jobs: list[tuple[int, int]], rng: random.Random) -> None:
    """Close *jobs* by groups of one to six, as a worker with its own connection does."""
    database = Database(url)
    while jobs:
        group = [end(jobs.pop()) for _ in range(min(len(jobs), rng.randint(1, 6)))]
        with database.write() as connection:
            close(connection, group, worker_id="w1")
    database.close()


def test_a_stream_gives_each_job_once_while_eight_workers_commit_out_of_order(
    scene: Scene, settings: Settings
) -> None:
    batch, jobs = running(scene, 400)
    rng = random.Random(6)
    rng.shuffle(jobs)
    threads = [
        Thread(target=work, args=(settings.sql_url, jobs[n::WORKERS], random.Random(n)))
        for n in range(WORKERS)
    ]
    stream = Batch(batch).stream(timeout=60)
    for thread in threads:
        thread.start()
    given = [result.job_id for result in stream]
    for thread in threads:
        thread.join()
    assert sorted(given) == scene.ids(batch)


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_an_end_that_is_committed_after_a_later_one_is_not_missed(scene: Scene) -> None:
    """Two transactions at once: the one that wrote first, and has the earlier instant, is last."""
    batch, jobs = running(scene, 8)
    stream = Batch(batch).stream(timeout=30)
    early, late = next(j for j in jobs if j[0] % 4 == 0), next(j for j in jobs if j[0] % 4 == 1)
    with scene.database.write() as connection:
        close(connection, [end(early)], worker_id="w1")
        scene.clock.advance(5)
        scene.close(end(late))
        assert next(stream).job_id == late[0]
    assert next(stream).job_id == early[0]


def test_what_ends_first_is_given_first(scene: Scene) -> None:
    batch, jobs = running(scene, 20)
    order = [jobs[n] for n in (7, 3, 19, 0, 11)]
    for job in order:
        scene.clock.advance(1)
        scene.close(end(job))
    stream = Batch(batch).stream(timeout=30)
    assert [next(stream).job_id for _ in order] == [job_id for job_id, _ in order]


def test_a_job_that_is_retried_between_the_look_and_the_reading_is_given_later(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, jobs = running(scene, 8)
    failed = next(job for job in jobs if job[0] % 5 == 0)
    scene.close(end(failed))
    read = answers.results_of

    def retry_before_reading(*arguments: object) -> object:
        monkeypatch.setattr(following, "results_of", read)
        scene.order("update jobs set state = 0, finished_at = null where state = 5")
        return read(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(following, "results_of", retry_before_reading)
    stream = Batch(batch).stream(timeout=30)
    scene.close(*(end(job) for job in jobs if job != failed))
    given = [next(stream).job_id for _ in range(7)]
    hints = [hint for model in MODELS for hint in scene.queue(batch, model=model)]
    scene.close(*(finish(*job, ANSWERED, ANSWER) for job in scene.claim(*hints).items()))
    assert sorted([*given, *(result.job_id for result in stream)]) == scene.ids(batch)


def test_a_look_does_not_walk_what_has_not_begun(scene: Scene) -> None:
    batch = scene.load(200)
    unseen = following._Unseen(scene.database, batch)
    for _ in range(3):
        for job in scene.claim(*scene.queue(batch, most=4)).items():
            scene.close(finish(*job, ANSWERED, ANSWER))
        unseen.look(to_the_end=False)
    assert unseen._mark < 40
    assert len(unseen._open) < 40


def test_a_coroutine_reads_a_stream_and_goes_on_beside_it(scene: Scene) -> None:
    batch, jobs = running(scene, 12)
    beside = 0

    async def count() -> None:
        nonlocal beside
        while True:
            beside += 1
            await asyncio.sleep(0)

    async def read() -> list[int]:
        counting = asyncio.create_task(count())
        given = []
        async for result in Batch(batch).stream(timeout=30):
            given.append(result.job_id)
            if jobs:
                scene.close(end(jobs.pop()))
        counting.cancel()
        assert (await Batch(batch)).finished
        return given

    scene.close(end(jobs.pop()))
    assert sorted(asyncio.run(read())) == scene.ids(batch)
    assert beside > 12


def test_a_stream_that_is_cancelled_leaves_nothing_behind(scene: Scene) -> None:
    batch, _ = running(scene, 3)

    async def read() -> None:
        async with asyncio.timeout(0.05):
            async for _ in Batch(batch).stream():
                pass

    with pytest.raises(TimeoutError):
        asyncio.run(read())


@pytest.mark.parametrize("way", ["for", "async for"])
def test_a_stream_in_vain_ends_with_what_to_look_at(way: str, scene: Scene) -> None:
    batch, _ = running(scene, 1)

    async def read() -> None:
        async for _ in Batch(batch).stream(timeout=0.02):
            pass

    read_it: Callable[[], object] = (
        (lambda: list(Batch(batch).stream(timeout=0.02)))
        if way == "for"
        else (lambda: asyncio.run(read()))
    )
    with pytest.raises(TimeoutError, match=f"promptmill status {batch}"):
        read_it()
