"""Workers and dispatchers are killed: R01, R02, R20, R27, R30, R54, R55."""

import resource
import shutil
import sqlite3
import subprocess
from collections import Counter
from contextlib import closing
from pathlib import Path

from tests.chaos import kill_workers
from tests.chaos.catalogue import Fault
from tests.chaos.stage import Stage, in_mid_batch, suspended
from tests.crash.steps import (
    NAMES,
    PAID_IN_VAIN,
    assert_cost,
    broken_at_every_step,
    start_doomed,
    wait_killed,
)
from tests.services.running_mill import OPENAI, RunningMill
from tests.services.waiting import wait_until
from tests.services.world import assert_world


def at_every_step(stage: Stage) -> None:
    engines = {"retry": (False, True), "hold": (True, False)}
    for on_unknown, choices in engines.items():
        for on_postgres in choices[: stage.size(1, 2)]:
            url = stage.postgres_url() if on_postgres else ""
            mill = stage.mill(vendors=NAMES, latency_s=0, database_url=url, WORKER__CONCURRENCY="1")
            batches = broken_at_every_step(mill, on_unknown=on_unknown)
            mill.start_worker(*NAMES)
            for step, batch in batches.items():
                assert_cost(mill, step, batch, on_unknown=on_unknown)
            stage.measure(mill)
            assert_world(mill, unbooked=PAID_IN_VAIN)


def at_random(stage: Stage) -> None:
    jobs, seconds = stage.size(600, 5000), stage.size(12, 60)
    seed = stage.rng.randrange(1000)
    words = ["--seed", seed, "--jobs", jobs, "--seconds", seconds]
    stage.figures = kill_workers.main([str(word) for word in words])


def a_poisonous_answer(stage: Stage) -> None:
    """The third worker that dies of a job is the last one: the job is held, the others go on."""
    mill = stage.mill(latency_s=0.2, WORKER__CONCURRENCY="5")
    batch = mill.load(jobs := stage.size(30, 300))
    victim = mill.sql("select id from jobs where custom_id = 'row-3'")[0]["id"]
    most = mill.settings.retry.max_crashes
    doomed = [start_doomed(mill, "answered", victim, OPENAI) for _ in range(most)]
    for worker in doomed:
        wait_killed(worker)
    mill.start_worker(OPENAI)
    stage.judge(mill, batch, ends={"quarantined": 1, "succeeded": jobs - 1}, unbooked=5 * most)
    asked = Counter(row.client_request_id.split("-")[1] for row in mill.simulator.bill())
    assert asked[str(victim)] == most, f"asked {asked[str(victim)]} times"


def out_of_memory(stage: Stage) -> None:
    """The kernel gives a worker no more memory while answers of 8 MB arrive."""
    mill = stage.mill(latency_s=0.3, WORKER__CONCURRENCY="20")
    body = (
        '{"id": "x", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini",'
        ' "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant",'
        ' "content": "' + "long " * 1_600_000 + '"}}]}'
    )
    mill.simulator.add_fault("raw", body=body, contains="number 1")
    worker = mill.start_worker(OPENAI)
    pages = int(Path(f"/proc/{worker.pid}/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + (96 << 20)
    resource.prlimit(worker.pid, resource.RLIMIT_AS, (limit, limit))
    batch = mill.load(jobs := stage.size(20, 60))
    wait_until(lambda: mill.requests(batch) >= jobs / 2, "half of the calls")
    stage.pause(3)
    mill.simulator.clear_faults()
    if not worker.has_ended:
        worker.kill()
    mill.start_worker(OPENAI)
    states = mill.wait_done(batch, 60)
    stage.measure(mill)
    assert states.keys() <= {"succeeded", "quarantined", "failed"}, states
    assert_world(mill, unbooked=jobs)


def leaders(stage: Stage) -> None:
    """Of three dispatchers one leads; whoever is killed is started again, and so are workers."""
    mill = stage.mill(latency_s=0.2, dispatched=False, WORKER__CONCURRENCY="10")
    crew = [stage.dispatch(mill) for _ in range(3)]
    batch, workers = in_mid_batch(stage, mill, jobs=stage.size(300, 2000), workers=2)
    for _ in range(stage.size(4, 15)):
        workers[0].kill()
        number = stage.rng.randrange(3)
        crew[number].kill()
        crew[number] = stage.dispatch(mill)
        workers = [workers[1], mill.start_worker(OPENAI)]
    crashes = sum(row["crashes"] for row in mill.sql("select crashes from jobs"))
    applied = mill.sql("select count(*) as n from attempts where error_code = 'worker_lost'")
    stage.judge(mill, batch, unbooked=crashes, away_s=4)
    assert applied[0]["n"] == crashes, "a rescue was counted twice"


def no_children(stage: Stage) -> None:
    """One process a worker: nothing is shared over a fork, since nobody forks."""
    mill = stage.mill()
    batch, (worker,) = in_mid_batch(stage, mill, jobs=stage.size(100, 1000))
    tasks = Path(f"/proc/{worker.pid}/task")
    children = [
        child for task in tasks.iterdir() for child in (task / "children").read_text().split()
    ]
    stage.judge(mill, batch)
    assert not children, f"the worker has children: {children}"


def power_cut(stage: Stage) -> None:
    """Everybody stands still at a random instant; a copy of the files is a database in order."""
    mill = stage.mill(latency_s=0.02, dispatched=False, WORKER__CONCURRENCY="20")
    dispatcher = stage.dispatch(mill)
    batch, workers = in_mid_batch(stage, mill, jobs=stage.size(1500, 6000), workers=2)
    copies = []
    for number in range(stage.size(6, 25)):
        stage.pause(stage.rng.uniform(0.05, 0.4))
        with suspended(dispatcher.pid, *(worker.pid for worker in workers)):
            sent = {row.client_request_id for row in mill.simulator.bill()}
            copies.append((_copy(mill, stage.new_folder() / f"copy-{number}"), sent))
    stage.judge(mill, batch)
    for path, sent in copies:
        _assert_in_order(path, sent)
        # What was not synced is missing at the end of the log.
        log = path.with_name(path.name + "-wal")
        whole = log.read_bytes() if log.exists() else b""
        log.write_bytes(whole[: stage.rng.randrange(len(whole) + 1)])
        _assert_in_order(path, set())


def _copy(mill: RunningMill, folder: Path) -> Path:
    # Not by this process: closing a file of an open database gives its locks back.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    files = [path for path in mill.folder.glob("promptmill.db*") if not path.name.endswith("-shm")]
    subprocess.run(["cp", *map(str, files), str(folder)], check=True)
    return folder / "promptmill.db"


def _assert_in_order(path: Path, sent: set[str]) -> None:
    with closing(sqlite3.connect(path)) as copy:
        ((verdict,),) = copy.execute("pragma integrity_check").fetchall()
        assert verdict == "ok", verdict
        odd = copy.execute(
            "select count(*) from jobs j left join results r on r.job_id = j.id"
            " and r.fence = j.fence where (j.state = 4) <> (r.job_id is not null)"
        ).fetchone()[0]
        assert odd == 0, f"{odd} jobs with a result and no success, or the other way round"
        rows = copy.execute("select batch_id, job_id, fence from attempts")
        known = {"-".join(map(str, row)) for row in rows}
        assert sent <= known, f"{len(sent - known)} requests had no row on the disk"


FAULTS = (
    Fault("R01", "killed_at_every_step", "kill -9 at 8 steps, retry and hold", at_every_step),
    Fault("R02", "kill_workers", "kill -9 of workers and dispatchers at random", at_random),
    Fault("R20", "poison", "an answer that kills its worker, each time", a_poisonous_answer),
    Fault("R27", "out_of_memory", "no memory for answers of 8 MB", out_of_memory),
    Fault("R30", "leaders", "three dispatchers; leaders and workers killed", leaders),
    Fault("R54", "forks", "a worker at work has no child process", no_children),
    Fault("R55", "power_cut", "copies of SQLite's files at random instants", power_cut),
)
