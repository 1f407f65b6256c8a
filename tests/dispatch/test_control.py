"""People's orders hold at once, and say what they did."""

import pytest

from promptmill.producer import control
from promptmill.schema.errors import UsageError
from promptmill.schema.moves import endings
from promptmill.schema.moves.loading import create_batch, insert_jobs
from promptmill.schema.moves.steering import cancel_batch
from promptmill.schema.states import JobState
from tests.dispatch.mill import Mill
from tests.schema.scene import PROVIDER, REFUSED, new_batch, new_jobs


def fail_some(mill: Mill, jobs: int) -> int:
    batch = mill.scene.load(jobs)
    for job, fence in mill.scene.claim(*mill.scene.queue(batch, most=jobs)).items():
        mill.scene.close(endings.fail(job, fence, REFUSED))
    return batch


def test_a_batch_of_fifty_thousand_is_cancelled(mill: Mill) -> None:
    other = mill.scene.load(3)
    batch = mill.scene.load(50_000)
    mill.worker(concurrency=20)
    mill.dispatcher().round()
    running = mill.scene.claim(*mill.scene.queue(batch, most=5))
    assert control.cancel(mill.database, batch) == 49_995
    assert mill.states(batch) == {JobState.CANCELLED: 49_995, JobState.RUNNING: len(running)}
    assert JobState.CANCELLED not in mill.states(other)
    assert control.cancel(mill.database, batch) == 0


def test_a_paused_batch_waits_until_it_is_resumed(mill: Mill) -> None:
    batch = mill.scene.load(20)
    dispatcher = mill.dispatcher()
    assert control.pause(mill.database, batch)
    assert not control.pause(mill.database, batch)
    assert dispatcher.round().hints == 0
    assert control.resume(mill.database, batch)
    assert not control.resume(mill.database, batch)
    assert dispatcher.round().hints == 10


def test_failed_jobs_are_retried_and_others_are_not(mill: Mill) -> None:
    failed = fail_some(mill, 30)
    other = fail_some(mill, 3)
    assert control.retry(mill.database, failed) == 30
    assert mill.states(failed) == {JobState.PENDING: 30}
    assert mill.states(other) == {JobState.FAILED: 3}
    assert control.retry(mill.database, failed) == 0


def test_cancelled_jobs_are_retried_where_that_is_asked_for(mill: Mill) -> None:
    batch = mill.scene.load(5000)
    control.cancel(mill.database, batch)
    assert control.retry(mill.database, batch, states=[JobState.CANCELLED]) == 5000
    assert mill.states(batch) == {JobState.PENDING: 5000}
    assert mill.dispatcher().round().hints == 10


def test_retrying_what_failed_does_not_undo_a_cancel(mill: Mill) -> None:
    batch = fail_some(mill, 30)
    control.retry(mill.database, batch)
    for job, fence in mill.scene.claim(*mill.scene.queue(batch, most=10)).items():
        mill.scene.close(endings.fail(job, fence, REFUSED))
    # The flag alone, as when the one who cancels was killed before the rows were moved.
    with mill.database.write() as connection:
        cancel_batch(connection, batch)
    assert control.retry(mill.database, batch) == 10
    assert mill.states(batch) == {JobState.PENDING: 10, JobState.CANCELLED: 20}


def test_a_provider_is_paused_and_resumed(mill: Mill) -> None:
    mill.scene.load(20)
    dispatcher = mill.dispatcher()
    control.pause_provider(mill.database, mill.settings, PROVIDER, reason="their bad day")
    control.pause_provider(mill.database, mill.settings, PROVIDER, model="m", seconds=30)
    assert dispatcher.round().hints == 0
    assert control.resume_provider(mill.database, mill.settings, PROVIDER) == 2
    assert dispatcher.round().hints == 10


def test_a_batch_or_provider_that_is_not_there_is_named(mill: Mill) -> None:
    for order in (control.pause, control.resume, control.cancel, control.retry):
        with pytest.raises(UsageError, match="there is no batch 77"):
            order(mill.database, 77)
    with pytest.raises(UsageError, match=r"no provider 'opanai': .* anthropic, gemini, openai"):
        control.pause_provider(mill.database, mill.settings, "opanai")


def test_a_batch_that_is_loading_is_not_cancelled(mill: Mill) -> None:
    with mill.database.write() as connection:
        batch = create_batch(connection, new_batch())
        insert_jobs(connection, batch, new_jobs(5))
    with pytest.raises(UsageError, match="still being loaded"):
        control.cancel(mill.database, batch)
