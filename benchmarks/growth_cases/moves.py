"""What workers, dispatch and sweep do all day, each as one function on an open transaction."""

from collections.abc import Callable

from sqlalchemy import Connection

from benchmarks.growth_cases.history import MODEL, PROVIDER, WORKER, Scene
from promptmill.schema.backlog import (
    Scope,
    aged_hints,
    backlog,
    cancelled_batches,
    due_waiting,
    started_jobs,
)
from promptmill.schema.live_limits import read_limits
from promptmill.schema.moves.claiming import claim
from promptmill.schema.moves.closing import close
from promptmill.schema.moves.endings import Attempted, Closing, StoredResult, fail, finish, retry
from promptmill.schema.moves.queueing import (
    give_back,
    has_dealt,
    queue_pending,
    queue_waiting,
    unqueue,
)
from promptmill.schema.moves.rescuing import rescue, running_of, unwaited_calls
from promptmill.schema.moves.spending import Reservation, pause_used_up
from promptmill.schema.outcomes import AttemptOutcome, ErrorKind, Usage
from promptmill.schema.pauses import pauses_now
from promptmill.schema.presence import beat, live_workers, orphaned_owners
from promptmill.schema.reading import due_jobs

Move = Callable[[Scene, Connection], object]
_GROUP = 50
_ANSWERED = Attempted(
    AttemptOutcome.SUCCEEDED,
    http_status=200,
    latency_ms=1234,
    usage=Usage(100, 20),
    cost_micros=100,
)
_BROKEN = Attempted(AttemptOutcome.REFUSED, http_status=500, error_kind=ErrorKind.TRANSIENT)
_REFUSED = Attempted(AttemptOutcome.REFUSED, http_status=400, error_kind=ErrorKind.REQUEST)


def peek(scene: Scene, connection: Connection) -> None:
    """Read the jobs of a group of hints."""
    assert len(due_jobs(connection, scene.queued[:_GROUP])) == _GROUP  # noqa: S101


def take(scene: Scene, connection: Connection) -> None:
    """Claim a group, of a batch with a budget."""
    claims = [(hint, "key") for hint in scene.queued[:_GROUP]]
    room = {hint.job_id: Reservation(scene.batch, 1000) for hint, _ in claims}
    assert len(claim(connection, claims, worker_id=WORKER, reservations=room)) == _GROUP  # noqa: S101


def end(scene: Scene, connection: Connection) -> None:
    """Store a group of ends: answers, and one each of a retry and a failure in ten."""
    closings = [_ending(n, *pair) for n, pair in enumerate(scene.running[:_GROUP])]
    assert len(close(connection, closings, worker_id=WORKER)) == _GROUP  # noqa: S101


def _ending(number: int, job_id: int, fence: int) -> Closing:
    if number % 10 == 3:
        return retry(job_id, fence, _BROKEN, 1.0)
    if number % 10 == 7:
        return fail(job_id, fence, _REFUSED)
    return finish(job_id, fence, _ANSWERED, StoredResult("four", "stop"))


def raise_beat(scene: Scene, connection: Connection) -> None:
    """Tell that a worker lives, and compare what it holds."""
    beat(connection, WORKER, [hint.job_id for hint in scene.queued])
    running_of(connection, WORKER, most=1000)


def look(_scene: Scene, connection: Connection) -> None:
    """See what there is to dispatch."""
    backlog(connection)
    started_jobs(connection)
    live_workers(connection)
    pauses_now(connection)
    read_limits(connection)
    due_waiting(connection, Scope(PROVIDER, MODEL), most=100)


def feed(scene: Scene, connection: Connection) -> None:
    """Queue pending jobs, of the large batch and of the other."""
    for batch in (scene.large_batch, scene.batch):
        moved = queue_pending(connection, batch_id=batch, provider=PROVIDER, model=MODEL, most=100)
        assert len(moved) == 100  # noqa: S101


def feed_waiting(_scene: Scene, connection: Connection) -> None:
    """Queue jobs whose time has come."""
    assert len(queue_waiting(connection, provider=PROVIDER, model=MODEL, most=100)) == 100  # noqa: S101


def take_back(_scene: Scene, connection: Connection) -> None:
    """Look what a member has of a pool, nothing of one and all of another, which gets some back."""
    scope = {"provider": PROVIDER, "model": MODEL}
    assert not has_dealt(connection, **scope, pool="another")  # noqa: S101
    assert has_dealt(connection, **scope, pool=PROVIDER)  # noqa: S101
    assert give_back(connection, **scope, pool=PROVIDER, most=_GROUP) == _GROUP  # noqa: S101


def sweep(scene: Scene, connection: Connection) -> None:
    """Look for what crashes and cancels left behind, and put some of it right."""
    live_workers(connection)
    orphaned_owners(connection)
    unwaited_calls(connection, most=1000)
    cancelled_batches(connection)
    pause_used_up(connection)
    aged_hints(connection, PROVIDER, age_s=0.0, most=1000)
    unqueue(connection, scene.queued[:_GROUP])
    lost = scene.running[:_GROUP]
    rescue(connection, lost, worker_id=WORKER, alone=False, max_crashes=3, reason="")


MOVES: dict[str, Move] = {
    "peek": peek,
    "claim": take,
    "finish": end,
    "beat": raise_beat,
    "dispatch_look": look,
    "dispatch_pending": feed,
    "dispatch_waiting": feed_waiting,
    "take_back": take_back,
    "sweep": sweep,
}
