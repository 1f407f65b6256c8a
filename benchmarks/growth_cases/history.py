"""Tables with a past of any size, and beside it a batch that is always the same."""

from dataclasses import dataclass

from sqlalchemy import Connection

from benchmarks.status_cases.filling import Shape, fill
from promptmill.schema.database import Database
from promptmill.schema.hint import Hint
from promptmill.schema.moves.claiming import claim
from promptmill.schema.moves.loading import NewBatch, create_batch, insert_jobs, open_batch
from promptmill.schema.moves.queueing import postpone, queue_pending
from promptmill.schema.moves.spending import Reservation
from promptmill.schema.new_job import NewJob
from promptmill.schema.presence import register_worker

PROVIDER, MODEL, WORKER = "openai", "gpt-4o-mini", "the worker"
_EACH = 200


@dataclass(frozen=True, slots=True)
class Scene:
    """What the moves are made on."""

    large_batch: int
    """half of all jobs are pending in this one"""
    batch: int
    """has a budget, and jobs in each state that is under way"""
    queued: list[Hint]
    running: list[tuple[int, int]]
    """(job, fence)"""


def set_the_scene(database: Database, *, jobs: int, waiting: int = _EACH) -> Scene:
    """Fill an empty *database* with *jobs* jobs, half of them done, and add the batch.

    Of that, 200 jobs are pending, queued and running, and *waiting* due.
    """
    fill(database, Shape.DONE, jobs=jobs // 2)
    large = fill(database, Shape.PENDING, jobs=jobs // 2)
    with database.write() as connection:
        batch = _load(connection, 3 * _EACH + waiting)
        moved = queue_pending(
            connection, batch_id=batch, provider=PROVIDER, model=MODEL, most=2 * _EACH + waiting
        )
        hints = [job.hint for job in moved]
        register_worker(
            connection,
            worker_id=WORKER,
            host="here",
            pid=1,
            version="1",
            keys={PROVIDER: "key"},
            concurrency=_EACH,
        )
        claims = [(hint, "key") for hint in hints[:_EACH]]
        room = {hint.job_id: Reservation(batch, 1000) for hint, _ in claims}
        fences = claim(connection, claims, worker_id=WORKER, reservations=room)
        postpone(connection, [(hint, 0.0) for hint in hints[2 * _EACH :]])
    return Scene(large, batch, hints[_EACH : 2 * _EACH], list(fences.items()))


def _load(connection: Connection, count: int) -> int:
    batch = NewBatch(
        "under way",
        identity="under way",
        input_name="made.jsonl",
        options="{}",
        total=count,
        budget_micros=10**9,
        max_failures=count,
    )
    batch_id = create_batch(connection, batch)
    jobs = [NewJob(n, f"row-{n}", PROVIDER, MODEL, "{}", "") for n in range(1, count + 1)]
    insert_jobs(connection, batch_id, jobs)
    open_batch(connection, batch_id)
    return batch_id
