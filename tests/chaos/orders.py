"""What people order while the mill works: R39, R40."""

from threading import Thread
from time import monotonic

from promptmill.producer.control import cancel, retry
from promptmill.producer.dispatching.pruning import PruneOrder, prune_steps, to_prune
from promptmill.schema.moves.pruning import Pruned
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


def pruned(stage: Stage) -> None:
    """What has ended goes, while another batch runs; of that one nothing does, nor of the sums."""
    mill = stage.mill(latency_s=0.05, WORKER__CONCURRENCY="20")
    mill.start_worker(OPENAI)
    old = mill.load(jobs := stage.size(300, 20_000))
    mill.wait_done(old, 120)
    batch = mill.load(jobs)
    stage.wait_part(mill, batch)
    spent = "select batch_id, sum(calls) as n from usage_hourly where batch_id = {} group by 1"
    before = mill.sql(spent.format(old))
    rounds = 0
    while mill.states(batch).keys() & {"pending", "queued", "running", "waiting"}:
        for step in prune_steps(mill.database, PruneOrder(Pruned.ALL, 0.0, {old})):
            assert step.batch is None or step.batch.id == old
        assert not to_prune(mill.database, PruneOrder(Pruned.ALL, 0.0, {batch})) or not (
            mill.states(batch).keys() - {"succeeded"}
        )
        rounds += 1
    assert rounds > 1, "the batch was over at once"
    assert mill.states(batch) == {"succeeded": jobs}
    requests_exactly(mill, batch, jobs)
    assert len(mill.sql(f"select 1 from results where batch_id = {batch}")) == jobs
    assert not mill.states(old), "rows are left"
    assert mill.sql(spent.format(old)) == before, "its sums changed"
    for table in ("job_payloads", "attempts", "results"):
        where = "not exists (select 1 from jobs j where j.id = job_id)"
        assert not mill.sql(f"select 1 from {table} where {where}"), f"orphans in {table}"


FAULTS = (
    Fault("R39", "cancelled", "cancel with 50 calls open, twice, and when done", cancelled),
    Fault("R52", "pruned", "prune again and again while a batch runs", pruned),
    Fault("R40", "replayed", "two people retry the same dead letters", replayed),
)
