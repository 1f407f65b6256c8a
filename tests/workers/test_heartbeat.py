"""The beat goes on, whatever strikes it."""

from collections.abc import Callable, Sequence

from promptmill.schema.moves.rescuing import forsake, unwaited_calls
from promptmill.schema.moves.steering import cancel_batch
from promptmill.schema.presence import live_workers, stop_worker
from promptmill.workers.heartbeat import Heartbeat
from tests.schema.scene import Scene
from tests.services.waiting import wait_until


def make_heartbeat(
    scene: Scene,
    in_hand: Callable[[], Sequence[int]] = list,
    on_declared_dead: Callable[[str], None] = lambda _name: None,
) -> Heartbeat:
    return Heartbeat(
        scene.database,
        worker_id="w1",
        pid=1,
        version="1",
        keys={},
        concurrency=1,
        beat_s=0.01,
        max_crashes=3,
        in_hand=in_hand,
        claimed=frozenset,
        on_beat=lambda: None,
        on_declared_dead=on_declared_dead,
    )


def test_a_bug_of_ours_costs_one_beat_and_not_all_that_follow(scene: Scene) -> None:
    told: list[int] = []

    def in_hand() -> Sequence[int]:
        told.append(len(told))
        if len(told) == 1:
            raise KeyError(told)
        return []

    heartbeat = make_heartbeat(scene, in_hand)
    heartbeat.start()

    def beat() -> int:
        with scene.database.read() as connection:
            return live_workers(connection)[0].beat

    wait_until(lambda: beat() > 1, "the beat to go on")
    heartbeat.stop()


def test_one_that_was_taken_for_dead_waits_for_its_calls_under_its_new_name(scene: Scene) -> None:
    names: list[str] = []
    heartbeat = make_heartbeat(scene, on_declared_dead=names.append)
    heartbeat.start()
    call, cancelled = scene.load(waited_by="w1"), scene.load(waited_by="w1")
    with scene.database.write() as connection:
        cancel_batch(connection, cancelled)
        stop_worker(connection, "w1")
        unwaited = unwaited_calls(connection, most=10)
    wait_until(lambda: names, "its new name")
    with scene.database.write() as connection:
        forsake(connection, unwaited)  # by a sweep that looked before
    rows = scene.sql("select id, waited_by, state from batches")
    assert {row.id: (row.waited_by, row.state) for row in rows} == {
        call: (names[0], "open"),
        cancelled: ("w1", "cancelled"),
    }
    heartbeat.stop()
