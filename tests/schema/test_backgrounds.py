"""Which response is made for a job in the background: known until it is of no more use."""

from promptmill.schema.moves import backgrounds, steering
from promptmill.schema.moves.endings import fail
from promptmill.schema.states import JobState
from tests.schema.scene import REFUSED, Scene


def known(scene: Scene, job: int) -> str | None:
    with scene.database.read() as connection:
        return backgrounds.known_response(connection, job)


def test_a_response_is_known_to_the_next_attempt_and_to_none_after_a_replay(scene: Scene) -> None:
    job, fence = scene.running()
    with scene.database.write() as connection:
        backgrounds.keep_response(connection, job, fence - 1, "resp_of_a_zombie")
        assert backgrounds.known_response(connection, job) is None
        backgrounds.keep_response(connection, job, fence, "resp_1")
        backgrounds.keep_response(connection, job, fence, "resp_1")
        backgrounds.forget_response(connection, job, fence, "resp_of_another")
    assert known(scene, job) == "resp_1"
    scene.rescue((job, fence))
    assert known(scene, job) == "resp_1"
    ((job, fence),) = scene.claim(*scene.queue(1)).items()
    scene.close(fail(job, fence, REFUSED))
    with scene.database.write() as connection:
        assert steering.replay_jobs(connection, 1, [JobState.FAILED])
    assert known(scene, job) is None


def test_what_goes_on_in_the_background_is_not_held_where_the_unknown_is(scene: Scene) -> None:
    batch = scene.load(2, on_unknown="hold")
    made, lost = scene.claim(*scene.queue(batch)).items()
    with scene.database.write() as connection:
        backgrounds.keep_response(connection, *made, "resp_1")
    scene.rescue(made, lost)
    rows = scene.sql("select id, state from jobs order by id")
    assert {row.id: row.state for row in rows} == {made[0]: 0, lost[0]: 7}
