"""What people order while the mill works: R39, R40."""

from threading import Thread
from time import monotonic

from promptmill.producer.control import cancel, retry
from tests.chaos.catalogue import Fault
from tests.chaos.stage import Stage, requests_exactly
from tests.services.running_mill import OPENAI

OPEN = 50


def cancelled(stage: Stage) -> None:
    """No call goes out after the cancel has returned; those that are open are stored."""
    mill = stage.mill(latency_s=0.5, WORKER__CONCURRENCY=str(OPEN))
    mill.start_worker(OPENAI)
    batch = mill.load(jobs := stage.size(500, 20_000))
    stage.wait_part(mill, batch, 0.1)
    cancel(mill.database, batch)
    returned = monotonic()
    assert cancel(mill.database, batch) == 0, "the second cancel found something"
    mill.wait_done(batch)
    states = mill.states(batch)
    stage.judge(mill, batch, ends=states)
    assert states.keys() == {"succeeded", "cancelled"}, states
    assert sum(states.values()) == jobs, states
    requests_exactly(mill, batch, states["succeeded"])
    # What was claimed before goes out: its intent is committed, and it was sent within the group.
    after = [row for row in mill.simulator.bill() if row.received_at > returned + 0.5]
    assert not after, f"{len(after)} calls half a second after the cancel"
    assert cancel(mill.database, batch) == 0, "what is done was cancelled"


def replayed(stage: Stage) -> None:
    """Two people retry the same dead letters at the same time."""
    mill = stage.mill(latency_s=0.05, WORKER__CONCURRENCY="20")
    jobs = stage.size(100, 5000)
    mill.simulator.add_fault("invalid_request", every=2, count=jobs // 2)
    mill.start_worker(OPENAI)
    batch = mill.load(jobs)
    mill.wait_done(batch, 120)
    failed = mill.states(batch)["failed"]
    moved: list[int] = []
    people = [Thread(target=lambda: moved.append(retry(mill.database, batch))) for _ in range(2)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert sum(moved) == failed, f"{moved} of {failed} were put back"
    stage.judge(mill, batch)
    again = mill.sql("select generation, count(*) as n from jobs group by 1 order by 1")
    assert [(row["generation"], row["n"]) for row in again] == [(0, jobs - failed), (1, failed)]
    tries = mill.sql("select count(*) as n from attempts")
    assert tries[0]["n"] >= jobs + failed, "history is gone"


FAULTS = (
    Fault("R39", "cancelled", "cancel with 50 calls open, twice, and when done", cancelled),
    Fault("R40", "replayed", "two people retry the same dead letters", replayed),
)
