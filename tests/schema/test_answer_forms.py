"""The invalid answer that a second request is told, and what is kept of the checks."""

import base64
from dataclasses import replace

from promptmill.schema.answer_forms import INVALID, invalid_answer_of
from promptmill.schema.moves.endings import fail, finish, retry
from promptmill.schema.moves.steering import replay_jobs
from promptmill.schema.outcomes import ErrorKind
from promptmill.schema.states import JobState
from tests.schema.scene import ANSWER, ANSWERED, BROKEN, Scene

FORMLESS = replace(
    BROKEN,
    error_kind=ErrorKind.BAD_RESPONSE,
    error_code=INVALID,
    body_base64=base64.b64encode(b"[]").decode(),
)


def invalid_answer(scene: Scene, job_id: int) -> bytes | None:
    with scene.database.read() as connection:
        return invalid_answer_of(connection, job_id)


def test_the_invalid_answer_is_found_through_what_came_after_it(scene: Scene) -> None:
    job_id, fence = scene.running()
    assert invalid_answer(scene, job_id) is None
    scene.close(retry(job_id, fence, FORMLESS, 0.0))
    assert invalid_answer(scene, job_id) == b"[]"
    scene.clock.advance(1)
    fence = scene.claim(*scene.queue_due())[job_id]
    scene.close(retry(job_id, fence, BROKEN, 0.0))
    assert invalid_answer(scene, job_id) == b"[]"


def test_a_replay_begins_anew(scene: Scene) -> None:
    job_id, fence = scene.running()
    scene.close(fail(job_id, fence, FORMLESS))
    with scene.database.write() as connection:
        replay_jobs(connection, scene.job(job_id).batch_id, [JobState.FAILED])
    _, fence = scene.again(job_id)
    scene.close(retry(job_id, fence, BROKEN, 0.0))
    assert invalid_answer(scene, job_id) is None


def test_what_a_check_found_is_kept_with_the_answer(scene: Scene) -> None:
    job_id, fence = scene.running()
    stored = replace(ANSWER, validity="invalid", problem="enum at /label")
    scene.close(finish(job_id, fence, ANSWERED, stored))
    (row,) = scene.sql("select validity, problem from promptmill_results")
    assert vars(row) == {"validity": "invalid", "problem": "enum at /label"}
