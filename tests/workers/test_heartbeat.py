"""The beat goes on, whatever strikes it."""

from collections.abc import Sequence

from promptmill.schema.presence import live_workers
from promptmill.workers.heartbeat import Heartbeat
from tests.schema.scene import Scene
from tests.services.waiting import wait_until


def test_a_bug_of_ours_costs_one_beat_and_not_all_that_follow(scene: Scene) -> None:
    told: list[int] = []

    def in_hand() -> Sequence[int]:
        told.append(len(told))
        if len(told) == 1:
            raise KeyError(told)
        return []

    heartbeat = Heartbeat(
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
        on_declared_dead=lambda _name: None,
    )
    heartbeat.start()

    def beat() -> int:
        with scene.database.read() as connection:
            return live_workers(connection)[0].beat

    wait_until(lambda: beat() > 1, "the beat to go on")
    heartbeat.stop()
