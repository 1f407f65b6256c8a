"""The recorder while SQL is away, hangs, or does not tell what came of a COMMIT."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from promptmill.schema.database import Database
from promptmill.schema.hint import Hint
from promptmill.schema.moves import endings
from promptmill.schema.moves.endings import Closing
from promptmill.schema.states import JobState
from promptmill.workers.recorder import Recorder
from promptmill.workers.spool import Record, Spool
from promptmill.workers.writes import Stored
from tests.schema.scene import ANSWER, ANSWERED, CUT, Scene
from tests.services.postgres import Postgres
from tests.services.sql_proxy import SqlProxy
from tests.services.waiting import wait_until

MakeRecorder = Callable[..., Recorder]
PATIENCE_S = 1.0


@pytest.fixture
def line(short_folder: Path, run_folder: Path, postgres: Postgres) -> Iterator[SqlProxy]:
    """What the recorder's connections go through."""
    del postgres  # is there
    with SqlProxy(short_folder, run_folder / "postgres") as line:
        yield line


@pytest.fixture
def scene(postgres_database: Database) -> Scene:
    """The database as the server has it, by connections that nobody cuts."""
    return Scene(postgres_database)


@pytest.fixture
def make_recorder(
    line: SqlProxy, short_folder: Path, scene: Scene, tmp_path: Path
) -> Iterator[MakeRecorder]:
    """Make recorders that reach SQL by the line; they share a spool folder."""
    opened: list[tuple[Recorder, Database]] = []

    def make(name: str = "w1", *, most_bytes: int = 2**20) -> Recorder:
        url = f"postgresql://postgres@/{scene.database.url.database}?host={short_folder}"
        database = Database(url, patience_s=PATIENCE_S)
        spool = Spool(tmp_path / "answers", most_bytes=most_bytes)
        recorder = Recorder(database, worker_id=name, group_rows=50, group_s=0.001, spool=spool)
        opened.append((recorder, database))
        return recorder

    yield make
    line.heal()
    for recorder, database in opened:
        recorder.stop(10)
        database.close()


@pytest.fixture
def answers(tmp_path: Path) -> Callable[[], list[str]]:
    """List what is in the spool folder."""
    return lambda: sorted(path.suffix for path in (tmp_path / "answers").glob("*"))


def finished(claims: dict[int, int]) -> list[Closing]:
    return [endings.finish(job, fence, ANSWERED, ANSWER) for job, fence in claims.items()]


async def close_all(recorder: Recorder, ends: Sequence[Closing]) -> list[Stored]:
    return await asyncio.gather(*(recorder.close(end) for end in ends))


def leave_in_the_spool(recorder: Recorder, ends: Sequence[Closing], line: SqlProxy) -> None:
    """Close while SQL is away, and stop as a worker does that was told to."""
    line.refuse()

    async def close_and_leave() -> list[Stored]:
        recorder.leave()
        return await close_all(recorder, ends)

    assert set(asyncio.run(close_and_leave())) == {Stored.SPOOLED}
    assert recorder.stop(5)
    line.heal()


def test_answers_are_on_disk_while_sql_is_away_and_in_sql_when_it_is_back(
    scene: Scene,
    make_recorder: MakeRecorder,
    line: SqlProxy,
    answers: Callable[[], list[str]],
) -> None:
    claims = scene.claim(*scene.queue(scene.load(70)))
    recorder = make_recorder()

    async def close_meanwhile() -> list[Stored]:
        line.refuse()
        closes = asyncio.create_task(close_all(recorder, finished(claims)))
        await asyncio.to_thread(
            wait_until, lambda: all(map(recorder._spool.keeps, claims.items())), "70 to be kept"
        )
        assert not closes.done()
        assert answers() == [".spool"]
        line.heal()
        return await closes

    assert asyncio.run(close_meanwhile()) == [Stored.MOVED] * 70
    assert answers() == []
    assert scene.count("results") == 70
    scene.assert_sums()


def test_an_answer_is_kept_also_while_sql_hangs(
    scene: Scene, make_recorder: MakeRecorder, line: SqlProxy, answers: Callable[[], list[str]]
) -> None:
    warm, one = scene.queue(scene.load(2))
    recorder = make_recorder()

    async def close_meanwhile() -> Stored:
        assert await recorder.claim(warm, "k")
        claims = scene.claim(one)
        line.hang()  # the connection there is; it is closed by the deadline, the next one is good
        closes = asyncio.create_task(recorder.close(*finished(claims)))
        await asyncio.to_thread(wait_until, answers, "the answer to be kept")
        return await closes

    assert asyncio.run(close_meanwhile()) is Stored.MOVED
    assert answers() == []


def test_who_leaves_while_sql_is_away_does_not_wait_and_the_next_one_stores_it(
    scene: Scene, make_recorder: MakeRecorder, line: SqlProxy, answers: Callable[[], list[str]]
) -> None:
    claims = scene.claim(*scene.queue(scene.load(60)))
    began = time.monotonic()
    leave_in_the_spool(make_recorder(), finished(claims), line)
    assert time.monotonic() - began < 6
    assert answers() == [".spool"]
    make_recorder("w2").store_leftovers()
    assert answers() == []
    assert {scene.job(job).state for job in claims} == {JobState.SUCCEEDED}
    assert [row.cost_micros for row in scene.sql("select * from attempts")] == [1500] * 60
    scene.assert_sums()


def test_who_leaves_stores_its_spool_at_the_end_if_sql_is_back(
    scene: Scene, make_recorder: MakeRecorder, line: SqlProxy, answers: Callable[[], list[str]]
) -> None:
    """Other calls may be open for long; the jobs in the spool count as its own until then."""
    claims = scene.claim(*scene.queue(scene.load(3)))
    recorder = make_recorder()

    async def close_and_leave() -> list[Stored]:
        line.refuse()
        recorder.leave()
        return await close_all(recorder, finished(claims))

    assert set(asyncio.run(close_and_leave())) == {Stored.SPOOLED}
    assert recorder.spooled() == claims.items()
    line.heal()
    assert recorder.stop(5)
    assert {scene.job(job).state for job in claims} == {JobState.SUCCEEDED}
    assert answers() == []


def test_who_leaves_while_sql_is_away_is_told_so_of_all_that_waits(
    scene: Scene, make_recorder: MakeRecorder, line: SqlProxy
) -> None:
    hints = scene.queue(scene.load(4))
    recorder = make_recorder()

    async def leave_with_all_waiting() -> tuple[object, ...]:
        line.refuse()
        asked = asyncio.gather(
            recorder.peek(hints[0]),
            recorder.claim(hints[1], "k"),
            recorder.requeue(hints[2]),
            recorder.unqueue(hints[3]),
        )
        recorder.leave()
        async with asyncio.timeout(8):
            return tuple(await asked)

    assert asyncio.run(leave_with_all_waiting()) == (None, None, False, None)


def test_an_answer_that_the_spool_refuses_is_waited_for(
    scene: Scene, make_recorder: MakeRecorder, line: SqlProxy, answers: Callable[[], list[str]]
) -> None:
    claims = scene.claim(*scene.queue(scene.load(2)))
    recorder = make_recorder(most_bytes=10)

    async def close_and_leave() -> list[Stored]:
        line.refuse()
        closes = asyncio.create_task(close_all(recorder, finished(claims)))
        recorder.leave()
        await asyncio.wait([closes], timeout=3)
        assert not closes.done()
        line.heal()
        return await closes

    assert asyncio.run(close_and_leave()) == [Stored.MOVED] * 2
    assert answers() == []


def test_an_answer_is_adopted_from_the_spool_after_its_job_was_rescued(
    scene: Scene, make_recorder: MakeRecorder, line: SqlProxy
) -> None:
    claims = scene.claim(*scene.queue(scene.load(1)))
    leave_in_the_spool(make_recorder(), finished(claims), line)
    scene.rescue(*claims.items())
    make_recorder("w2").store_leftovers()
    ((job, fence),) = claims.items()
    assert scene.job(job).state == JobState.SUCCEEDED
    assert scene.attempt(job, fence).cost_micros == 1500
    scene.assert_sums()


def test_a_worker_claims_nothing_before_the_answers_of_the_dead_are_stored(
    scene: Scene, make_recorder: MakeRecorder, line: SqlProxy, answers: Callable[[], list[str]]
) -> None:
    """A job that was rescued is hinted again: its answer must be there before it is bought."""
    other = make_recorder("w2")
    batch = scene.load(1)
    claims = scene.claim(*scene.queue(batch))
    leave_in_the_spool(make_recorder(), finished(claims), line)
    scene.rescue(*claims.items())
    (hint,) = scene.queue(batch)
    assert asyncio.run(other.claim(hint, "k")) is None
    assert scene.job(hint.job_id).state == JobState.SUCCEEDED
    assert answers() == []


def test_an_answer_in_the_spool_that_was_bought_again_is_booked_as_late(
    scene: Scene, make_recorder: MakeRecorder, line: SqlProxy
) -> None:
    claims = scene.claim(*scene.queue(scene.load(1)))
    leave_in_the_spool(make_recorder(), finished(claims), line)
    ((job, fence),) = claims.items()
    scene.rescue((job, fence))
    _job, again = scene.again(job)
    make_recorder("w3").store_leftovers()
    assert scene.job(job).state == JobState.RUNNING
    assert (scene.job(job).fence, scene.attempt(job, fence).outcome) == (again, 5)
    assert scene.attempt(job, fence).cost_micros == 1500
    scene.assert_sums()


def test_what_sql_has_already_is_stored_again_without_effect(
    scene: Scene, make_recorder: MakeRecorder, tmp_path: Path
) -> None:
    claims = scene.claim(*scene.queue(scene.load(3)))
    scene.close(*finished(claims))
    before = scene.everything()
    spool = Spool(tmp_path / "answers", most_bytes=2**20)
    spool.keep([Record(end, ("w1",)) for end in finished(claims)])
    spool.close()
    make_recorder("w2").store_leftovers()
    assert scene.everything() == before


def test_answers_for_another_database_are_set_aside(
    scene: Scene, make_recorder: MakeRecorder, tmp_path: Path, answers: Callable[[], list[str]]
) -> None:
    job, fence = scene.running()
    spool = Spool(tmp_path / "answers", most_bytes=2**20)
    ours, foreign = finished({job: fence}), finished({job: fence, 999: 1})
    spool.keep([Record(end, ("a worker that this database never saw",)) for end in foreign])
    spool.close()
    make_recorder("w2").store_leftovers()
    assert scene.job(job).state == JobState.RUNNING
    assert answers() == [".refused"]
    (path,) = (tmp_path / "answers").iterdir()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["why"] for line in lines] == ["this database has no such attempt"] * 2
    assert scene.close(*ours) == {job}


def test_a_commit_whose_answer_is_lost_ends_in_one_result_and_one_cost(
    scene: Scene, make_recorder: MakeRecorder, line: SqlProxy
) -> None:
    claims = scene.claim(*scene.queue(scene.load(20)))
    retried, fence = claims.popitem()
    ends = [*finished(claims), endings.retry(retried, fence, CUT, 9.0)]
    recorder = make_recorder()
    line.commits_to_cut = 2
    assert asyncio.run(close_all(recorder, ends)) == [Stored.MOVED] * 20
    assert line.commits_to_cut == 0
    assert scene.count("results") == 19
    assert scene.sql("select sum(cost_micros) as micros from attempts")[0].micros == 19 * 1500
    assert (scene.job(retried).state, scene.job(retried).attempts) == (JobState.WAITING, 1)
    scene.assert_sums()


def test_a_claim_whose_commits_answer_is_lost_is_ours(
    scene: Scene, make_recorder: MakeRecorder, line: SqlProxy
) -> None:
    """It would be taken for a call that was lost: rescued, counted as a crash, or held."""
    hints = scene.queue(scene.load(5))
    recorder = make_recorder()
    line.commits_to_cut = 1

    async def claim_all() -> list[int | None]:
        return await asyncio.gather(*(recorder.claim(hint, "k") for hint in hints))

    assert asyncio.run(claim_all()) == [1] * 5
    assert line.commits_to_cut == 0
    assert scene.count("attempts") == 5


def test_a_like_hint_does_not_get_the_claim_of_the_first_when_its_commit_is_repeated(
    scene: Scene, make_recorder: MakeRecorder, line: SqlProxy
) -> None:
    (hint,) = scene.queue(scene.load(1))
    recorder = make_recorder()

    async def claim_and_again() -> list[int | None]:
        first = await recorder.claim(hint, "k")
        line.commits_to_cut = 1
        return [first, await recorder.claim(Hint(hint.job_id, hint.dispatch_no), "k")]

    assert asyncio.run(claim_and_again()) == [1, None]
    assert line.commits_to_cut == 0


def test_a_deadlock_is_tried_again(scene: Scene, make_recorder: MakeRecorder) -> None:
    first, second = scene.claim(*scene.queue(scene.load(2))).items()
    recorder = make_recorder()
    together = threading.Barrier(2)

    def lock_the_other_way_round() -> None:
        with scene.database.write() as connection:
            connection.exec_driver_sql("set local deadlock_timeout = '10s'")
            connection.exec_driver_sql(f"select 1 from jobs where id = {second[0]} for update")
            together.wait(10)
            wait_until(
                lambda: scene.sql("select 1 from pg_locks where not granted"), "the other to wait"
            )
            connection.exec_driver_sql(f"select 1 from jobs where id = {first[0]} for update")

    async def close_both() -> list[Stored]:
        with scene.database.write() as connection:
            connection.exec_driver_sql(f"select 1 from jobs where id = {first[0]} for share")
        await asyncio.to_thread(together.wait, 10)
        return await close_all(recorder, finished(dict([first, second])))

    thread = threading.Thread(target=lock_the_other_way_round)
    thread.start()
    assert asyncio.run(close_both()) == [Stored.MOVED] * 2
    thread.join(20)
    scene.assert_sums()
