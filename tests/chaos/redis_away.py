"""Redis is emptied, killed, stopped, full, or holds what nobody of us wrote: R03 to R10, R38."""

import json
import sys
from bisect import bisect_left
from dataclasses import replace
from threading import Event
from typing import Any

from promptmill.producer.control import cancel
from promptmill.producer.dispatching.broker import make_sender
from promptmill.schema.broker import list_keys
from promptmill.schema.hint import queue_name
from promptmill.schema.moves.queueing import Queued, queue_pending
from promptmill.workers.limits.desk import LATE_S
from tests.chaos.catalogue import Fault
from tests.chaos.stage import Stage, in_mid_batch, requests_exactly, server_pid, suspended
from tests.crash.hostile import hostile_messages, push
from tests.services.running_mill import ANTHROPIC, MODELS, OPENAI, RunningMill


def emptied(stage: Stage) -> None:
    mill = stage.mill(latency_s=0.2, WORKER__CONCURRENCY="10")
    batch, _ = in_mid_batch(stage, mill, jobs=(jobs := stage.size(300, 3000)), workers=2)
    for _ in range(stage.size(3, 10)):
        mill.valkey.client.flushall()
        stage.pause(stage.rng.uniform(0, 1))
    stage.judge(mill, batch)
    requests_exactly(mill, batch, jobs)


def killed(stage: Stage) -> None:
    mill = stage.mill(latency_s=0.2, WORKER__CONCURRENCY="10")
    batch, workers = in_mid_batch(stage, mill, jobs=(jobs := stage.size(300, 3000)), workers=2)
    for _ in range(stage.size(2, 8)):
        _restart_empty(mill, stage, away_s=stage.rng.uniform(0, 2))
    stage.judge(mill, batch)
    requests_exactly(mill, batch, jobs)
    assert not any(worker.has_ended for worker in workers), "a worker ended with its Redis"


def down_at_submit(stage: Stage) -> None:
    mill = stage.mill(latency_s=0.05)
    mill.valkey.kill()
    jobs = stage.size(100, 1000)
    lines = (json.dumps({"prompt": f"prompt{mill.canary} {n}"}) for n in range(jobs))
    (mill.folder / "rows.jsonl").write_text("\n".join(lines))
    submit = (sys.executable, "-m", "promptmill.producer", "submit", "rows.jsonl")
    process = mill.start_process(
        *submit, "-m", MODELS[OPENAI], "-p", "{{ prompt }}", log="submit.out"
    )
    code = process.wait(60)
    assert code == 0, (mill.folder / "submit.out").read_text()[-2000:]
    (row,) = mill.sql("select id from batches where state = 'open'")
    mill.valkey.start()
    mill.start_worker(OPENAI)
    stage.judge(mill, row["id"])
    requests_exactly(mill, row["id"], jobs)


def hanging(stage: Stage) -> None:
    """For longer than a lease, and than the time that the worker gives a command."""
    mill = stage.mill(latency_s=0.5, WORKER__CONCURRENCY="20")
    batch, _ = in_mid_batch(stage, mill, jobs=(jobs := stage.size(200, 1000)))
    with suspended(server_pid(mill.valkey)):
        began = mill.requests(batch)
        stage.pause(stage.size(8, 30))
        went = mill.requests(batch) - began
    assert went <= 40, f"{went} requests went out without a limiter"
    stage.judge(mill, batch)
    requests_exactly(mill, batch, jobs)


def full(stage: Stage) -> None:
    """Redis refuses every write, first for want of memory, then as a replica."""
    mill = stage.mill(latency_s=0.2, WORKER__CONCURRENCY="10")
    batch, (worker,) = in_mid_batch(stage, mill, jobs=(jobs := stage.size(300, 2000)))
    client: Any = mill.valkey.client
    client.config_set("maxmemory", 1)
    stage.pause(3)
    client.config_set("maxmemory", 0)
    stage.pause(1)
    client.config_set("replica-read-only", "yes")
    client.execute_command("REPLICAOF", "127.0.0.1", "1")
    stage.pause(3)
    client.execute_command("REPLICAOF", "NO", "ONE")
    stage.judge(mill, batch)
    requests_exactly(mill, batch, jobs)
    assert not worker.has_ended, "the worker ended"


def doubled(stage: Stage) -> None:
    mill = stage.mill(dispatched=False, WORKER__CONCURRENCY="10")
    batch, queued = _queued(mill, jobs := stage.size(300, 2000))
    _publish(mill, stage.rng.sample(queued * 3, 3 * jobs))
    for worker in [mill.start_worker(OPENAI, ready=False) for _ in range(4)]:
        mill.wait_ready(worker)
    stage.judge(mill, batch)
    requests_exactly(mill, batch, jobs)


def foreign(stage: Stage) -> None:
    """Hints in any order: unknown, done, cancelled, of another provider, with any number."""
    mill = stage.mill(WORKER__CONCURRENCY="10")
    mill.start_worker(OPENAI)
    done = mill.load(20)
    mill.wait_done(done)
    cancelled = mill.load(20, say="cancelled", providers=[ANTHROPIC])
    cancel(mill.database, cancelled)
    mill.wait_done(cancelled)
    batch = mill.load(jobs := stage.size(100, 1000))
    pattern = Queued(1, 1, batch, 1, OPENAI, MODELS[OPENAI], 0)
    ids = range(1, jobs + 60)
    hints = [replace(pattern, job_id=n, dispatch_no=stage.rng.randrange(4)) for n in ids]
    hints += [replace(pattern, job_id=10**15 + n) for n in range(50)]
    hints += [replace(pattern, job_id=-n) for n in range(50)]
    _publish(mill, stage.rng.sample(hints, len(hints)))
    stage.judge(mill, batch)
    requests_exactly(mill, batch, jobs)
    requests_exactly(mill, done, 20)
    requests_exactly(mill, cancelled, 0)


def hostile(stage: Stage) -> None:
    """Nobody helps: the worker goes on, and what is no list is set aside."""
    mill = stage.mill(latency_s=0.1, WORKER__CONCURRENCY="10")
    pickled = stage.folder / "pickled"
    push(mill, *hostile_messages(str(pickled)).values())
    batch, (worker,) = in_mid_batch(stage, mill, jobs=(jobs := stage.size(300, 2000)))
    key = list_keys(mill.settings, queue_name(OPENAI))[-1]
    mill.valkey.client.set(key, "somebody else's")
    stage.judge(mill, batch)
    requests_exactly(mill, batch, jobs)
    assert not pickled.exists(), "a pickle was loaded"
    assert not worker.has_ended, "the worker ended"


def limiter_survives(stage: Stage) -> None:
    """Three workers share 20 starts a second, also when Redis comes back empty in between."""
    mill = stage.mill(
        latency_s=0.1, WORKER__CONCURRENCY="50", PROVIDERS__OPENAI__LIMITS__RPM="1200"
    )
    batch, _ = in_mid_batch(stage, mill, jobs=stage.size(300, 1000), workers=3)
    for _ in range(stage.size(2, 6)):
        _restart_empty(mill, stage, away_s=0.5)
        stage.pause(stage.rng.uniform(1, 3))
    stage.judge(mill, batch)
    at = sorted(row.received_at for row in mill.simulator.bill())
    busiest = max(bisect_left(at, start + 5) - number for number, start in enumerate(at))
    # 5 s of the limit, a quarter of a second of depth, how late what came first may have been sent,
    # 1 %, and one request
    most = 20 * (5 + 0.25 + LATE_S) * 1.01 + 1
    assert busiest <= most, f"{busiest} requests in 5 s, with 20 a second allowed"


def _restart_empty(mill: RunningMill, stage: Stage, *, away_s: float) -> None:
    mill.valkey.kill()
    mill.valkey.forget()
    Event().wait(away_s)
    mill.valkey.start()


def _queued(mill: RunningMill, jobs: int) -> tuple[int, list[Queued]]:
    batch = mill.load(jobs)
    with mill.database.write() as connection:
        queued = queue_pending(
            connection, batch_id=batch, provider=OPENAI, model=MODELS[OPENAI], most=jobs
        )
    return batch, list(queued)


def _publish(mill: RunningMill, hints: list[Queued]) -> None:
    sender = make_sender(mill.settings)
    sender.publish([(hint, 5) for hint in hints])
    sender.close()


FAULTS = (
    Fault("R03", "redis_emptied", "FLUSHALL again and again in mid batch", emptied),
    Fault("R04", "redis_killed", "Redis killed, comes back empty, again and again", killed),
    Fault("R05", "redis_down_at_submit", "submit while Redis is down", down_at_submit),
    Fault("R06", "redis_hangs", "Redis neither answers nor closes", hanging),
    Fault("R07", "redis_full", "Redis refuses writes: no memory, read only", full),
    Fault("R08", "hints_doubled", "each hint three times, shuffled, four workers", doubled),
    Fault("R09", "hints_foreign", "hints of jobs done, cancelled, foreign, unknown", foreign),
    Fault("R10", "hostile_messages", "19 hostile messages in the queue, then no list", hostile),
    Fault("R38", "limiter_wiped", "3 workers at a limit, Redis wiped", limiter_survives),
)
