"""Lost hints are found beside many that are old and not lost."""

from promptmill.schema.broker import BULK_STEP
from promptmill.schema.moves.queueing import Queued, queue_pending
from tests.dispatch.mill import Mill
from tests.schema.scene import new_jobs

DEPTH = 10


def queue(mill: Mill, provider: str, model: str) -> list[Queued]:
    batch = mill.scene.load(DEPTH, jobs=new_jobs(DEPTH, provider=provider, model=model))
    with mill.database.write() as connection:
        return queue_pending(connection, batch_id=batch, provider=provider, model=model, most=DEPTH)


def test_full_queues_of_a_provider_without_workers_hide_no_lost_hint_of_another(
    mill: Mill,
) -> None:
    mill.settings = mill.tuned(depth_max=DEPTH)
    waiting = [*queue(mill, "openai", "m1"), *queue(mill, "openai", "m2")]
    mill.sender().publish([(job, BULK_STEP) for job in waiting])
    mill.scene.clock.advance(1)
    queue(mill, "anthropic", "m3")  # and never published
    dispatcher = mill.dispatcher()
    found = sum(dispatcher.sweep().lost_hints for _ in mill.pass_time(60))
    assert found == DEPTH
