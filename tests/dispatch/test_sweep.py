"""What crashes leave behind is put right, and nobody is declared dead who is not."""

import subprocess
import sys

from promptmill.producer.dispatching.sweep import Swept
from promptmill.schema.hint import Hint
from promptmill.schema.host import host_identity
from promptmill.schema.moves.embedder_calls import Intent, intend_call
from promptmill.schema.moves.endings import finish
from promptmill.schema.moves.loading import create_batch, insert_jobs
from promptmill.schema.moves.steering import cancel_batch
from promptmill.schema.outcomes import AttemptOutcome
from promptmill.schema.states import JobState
from tests.dispatch.mill import Mill
from tests.schema.scene import ANSWER, ANSWERED, PROVIDER, new_batch, new_jobs


def take_and_claim(mill: Mill, worker: str = "w1", jobs: int = 3) -> int:
    """Load a batch of *jobs* and let *worker* claim it; return its id."""
    batch = mill.scene.load(jobs)
    assert len(mill.scene.claim(*mill.scene.queue(batch), worker=worker)) == jobs
    return batch


def embedder_calls(mill: Mill) -> list[tuple[str, str | None]]:
    rows = mill.scene.sql("select outcome, error_code from promptmill_embedder_calls")
    return [(row.outcome, row.error_code) for row in rows]


def ended_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_a_dead_worker_is_rescued_after_the_lease_and_not_before(mill: Mill) -> None:
    mill.worker()
    batch = take_and_claim(mill)
    with mill.scene.database.write() as connection:
        call = Intent(batch, PROVIDER, "vectors-1", "k1", "w1", texts=3, most_micros=None)
        intend_call(connection, call)
    dispatcher = mill.dispatcher()
    rescued_at = 0.0
    for passed in mill.pass_time(90, step=5):
        if dispatcher.sweep().rescued:
            rescued_at = passed
            break
        assert embedder_calls(mill) == [("open", None)]
    assert 60 <= rescued_at <= 65
    assert mill.states(batch) == {JobState.PENDING: 3}
    assert embedder_calls(mill) == [("unknown", "worker_lost")]
    assert not mill.beat()
    crashes = mill.scene.sql("select distinct crashes from jobs")
    assert [row.crashes for row in crashes] == [1]


def test_a_worker_that_beats_is_left_alone(mill: Mill) -> None:
    mill.worker()
    batch = take_and_claim(mill)
    dispatcher = mill.dispatcher()
    for _ in mill.pass_time(300, step=5):
        assert mill.beat()
        assert dispatcher.sweep().dead_workers == 0
    assert mill.states(batch) == {JobState.RUNNING: 3}


def test_a_beat_between_the_look_and_the_verdict_saves_the_worker(mill: Mill) -> None:
    mill.worker()
    dispatcher = mill.dispatcher()
    for _ in mill.pass_time(60, step=5):
        dispatcher.sweep()
    seen = dispatcher._sweeper.observe()
    mill.beat()
    assert not dispatcher._sweeper._declare_dead(seen[0])
    assert mill.beat()


def test_a_suspended_sweeper_rescues_nobody(mill: Mill) -> None:
    mill.worker()
    batch = take_and_claim(mill)
    dispatcher = mill.dispatcher()
    for _ in range(3):
        assert dispatcher.sweep().dead_workers == 0
        mill.scene.clock.advance(3600)
    mill.beat()
    assert dispatcher.sweep().dead_workers == 0
    assert mill.states(batch) == {JobState.RUNNING: 3}


def test_time_in_which_sql_was_away_is_not_held_against_workers(mill: Mill) -> None:
    mill.worker()
    dispatcher = mill.dispatcher()
    for _ in mill.pass_time(300, step=5):
        assert dispatcher.sweep().dead_workers == 0
        # Every second reading fails, so that no beat could have been written in between either.
        dispatcher._sweeper.missed()


def test_a_new_leader_need_not_begin_to_wait(mill: Mill) -> None:
    mill.worker()
    take_and_claim(mill)
    leader, standby = mill.dispatcher("d1"), mill.dispatcher("d2")
    for passed in mill.pass_time(65, step=5):
        if passed <= 40:
            leader.round()
        rescued = standby.sweep().rescued
    assert rescued == 3


def test_a_worker_of_this_host_whose_process_is_gone_is_rescued_at_once(mill: Mill) -> None:
    mill.worker(host=host_identity(), pid=ended_process())
    batch = take_and_claim(mill)
    assert mill.dispatcher().sweep().rescued == 3
    assert mill.states(batch) == {JobState.PENDING: 3}


def test_a_worker_of_another_host_with_that_process_id_is_not(mill: Mill) -> None:
    mill.worker(host="elsewhere", pid=ended_process())
    take_and_claim(mill)
    assert mill.dispatcher().sweep().rescued == 0


def test_of_live_calls_whose_gateway_is_gone_no_more_is_sent_whoever_was_to_make_them(
    mill: Mill,
) -> None:
    mill.worker("gone", keys={}, host=host_identity(), pid=ended_process())
    mill.worker("w1")
    mill.worker("here", keys={})

    def call(gateway: str | None, worker: str | None = None) -> int:
        batch = mill.scene.load(1, waited_by=gateway)
        if worker is not None:
            mill.scene.claim(*mill.scene.queue(batch), worker=worker)
        return batch

    by_gateway, by_worker, answered = call("gone", "gone"), call("gone", "w1"), call("gone", "w1")
    pending, queued, waiting = call("gone"), call("gone"), call("gone")
    others = [call("here", "w1"), call("here"), call(None)]
    mill.scene.queue(queued)
    mill.scene.postpone(*mill.scene.queue(waiting))
    mill.scene.close(finish(mill.scene.ids(answered)[0], 1, ANSWERED, ANSWER))
    assert mill.dispatcher().sweep() == Swept(dead_workers=1, rescued=1, cancelled=4)
    for batch in (by_gateway, pending, queued, waiting):
        assert mill.states(batch) == {JobState.CANCELLED: 1}
    (lost,) = mill.scene.sql(f"select outcome from attempts where batch_id = {by_gateway}")
    assert lost.outcome == AttemptOutcome.UNKNOWN
    assert mill.states(by_worker) == {JobState.RUNNING: 1}, "what is sent is stored"
    assert mill.states(answered) == {JobState.SUCCEEDED: 1}
    assert [[*mill.states(batch)] for batch in others] == [
        [JobState.RUNNING],
        [JobState.PENDING],
        [JobState.PENDING],
    ]
    states = mill.scene.sql("select state from batches order by id")
    assert [row.state for row in states] == [*2 * ["cancelled"], "open", *3 * ["cancelled"]] + 3 * [
        "open"
    ]


def test_a_live_call_that_its_gateway_was_storing_when_it_died_is_taken_away(mill: Mill) -> None:
    mill.worker("gone", keys={}, host=host_identity(), pid=ended_process())
    with mill.database.write() as connection:
        for n, gateway in enumerate(("gone", "gone", "here", None)):
            batch = create_batch(connection, new_batch(f"call {n}", waited_by=gateway))
            if n:
                insert_jobs(connection, batch, new_jobs(1))
    mill.worker("here", keys={})
    mill.dispatcher().sweep()
    left = mill.scene.sql("select waited_by from batches order by id")
    assert [row.waited_by for row in left] == ["here", None]
    assert mill.scene.count("jobs") == mill.scene.count("job_payloads") == 2


def test_batches_that_have_ended_are_looked_at_no_more(mill: Mill) -> None:
    mill.worker()
    ended, cancelled, left = take_and_claim(mill), mill.scene.load(), mill.scene.load()
    mill.scene.close(*(finish(job, 1, ANSWERED, ANSWER) for job in mill.scene.ids(ended)))
    with mill.database.write() as connection:
        cancel_batch(connection, cancelled)
    mill.dispatcher().sweep()
    marked = mill.scene.sql("select id, carried from batches order by id")
    assert {row.id: row.carried for row in marked} == {ended: 1, cancelled: 1, left: None}


def test_jobs_that_a_stopped_worker_left_are_rescued_at_once(mill: Mill) -> None:
    batch = take_and_claim(mill, worker="never registered")
    assert mill.dispatcher().sweep().rescued == 3
    assert mill.states(batch) == {JobState.PENDING: 3}


def test_an_emptied_redis_is_healed(mill: Mill) -> None:
    batch = mill.scene.load(30)
    mill.worker(concurrency=20)
    dispatcher = mill.dispatcher()
    dispatcher.round()
    in_hand = mill.take(5)
    mill.valkey.flush()
    healed_at = 0.0
    for passed in mill.pass_time(60, step=5):
        mill.beat(in_hand=in_hand)
        if dispatcher.sweep().lost_hints:
            healed_at = passed
            break
    assert healed_at <= 20
    assert mill.states(batch) == {JobState.PENDING: 25, JobState.QUEUED: 5}
    dispatcher.round()
    assert len(mill.scene.claim(*mill.take(), *in_hand)) == 20


def test_hints_that_somebody_holds_are_not_hinted_again(mill: Mill) -> None:
    batch = mill.scene.load(20)
    mill.worker(concurrency=20)
    dispatcher = mill.dispatcher()
    dispatcher.round()
    in_hand = mill.take(5)
    for _ in mill.pass_time(300, step=5):
        mill.beat(in_hand=in_hand)
        assert dispatcher.sweep().lost_hints == 0
        dispatcher.round()
    assert mill.states(batch) == {JobState.QUEUED: 20}
    assert len(mill.scene.claim(*in_hand, *mill.take())) == 20


def test_a_hint_on_its_way_to_a_worker_is_not_lost(mill: Mill) -> None:
    mill.scene.load(5)
    mill.worker(concurrency=20)
    dispatcher = mill.dispatcher()
    dispatcher.round()
    mill.scene.clock.advance(20)
    taken = mill.take()
    assert dispatcher.sweep().lost_hints == 0
    mill.scene.clock.advance(5)
    mill.beat(in_hand=taken)
    assert dispatcher.sweep().lost_hints == 0


def test_while_redis_is_away_no_hint_is_lost(mill: Mill) -> None:
    mill.scene.load(5)
    dispatcher = mill.dispatcher()
    dispatcher.round()
    mill.valkey.stop()
    try:
        for _ in mill.pass_time(60, step=5):
            assert dispatcher.sweep().lost_hints == 0
    finally:
        mill.valkey.start()
    assert len(mill.take()) == 5


def test_hints_of_a_batch_that_workers_dropped_come_back(mill: Mill) -> None:
    batch = mill.scene.load(5)
    dispatcher = mill.dispatcher()
    dispatcher.round()
    mill.take()
    for _ in mill.pass_time(30, step=5):
        dispatcher.sweep()
    assert mill.states(batch) == {JobState.PENDING: 5}
    dispatcher.round()
    assert {hint.dispatch_no for hint in mill.take()} == {2}


def test_a_garbled_message_does_not_stop_the_sweep(mill: Mill) -> None:
    mill.scene.load(5)
    dispatcher = mill.dispatcher()
    dispatcher.round()
    key = mill.valkey.client.keys("*\x06*")[0]
    mill.valkey.client.lpush(key, b"\xff not json", b'{"headers": {"id": "job-x"}}', b"7")
    for _ in mill.pass_time(60, step=5):
        assert dispatcher.sweep().lost_hints == 0


def test_a_cancelled_batch_is_emptied(mill: Mill) -> None:
    batch = mill.scene.load(25_000)
    mill.worker(concurrency=20)
    dispatcher = mill.dispatcher()
    dispatcher.round()
    running = mill.scene.claim(*mill.take(7))
    with mill.database.write() as connection:
        cancel_batch(connection, batch)
    assert dispatcher.sweep().cancelled == 20_000
    assert dispatcher.sweep().cancelled == 5_000 - len(running)
    assert dispatcher.sweep().cancelled == 0
    assert mill.states(batch) == {JobState.RUNNING: 7, JobState.CANCELLED: 24_993}
    assert not mill.scene.claim(*[Hint(job, 1) for job in mill.scene.ids(batch)[:20]])
