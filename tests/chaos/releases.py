"""Two releases at once, and an upgrade while the older one works: R28, R29.

The older release is what git has from before the newest migration.
"""

import json
import os
import subprocess
import sys
import tarfile
from io import BytesIO
from threading import Event, Thread
from time import monotonic

from promptmill.schema.database import DatabaseError
from promptmill.schema.settings import PREFIX
from tests.chaos.catalogue import ROOT, Fault
from tests.chaos.stage import NotHereError, Stage
from tests.services.running_mill import FAST, MODELS, OPENAI, RunningMill

VERSIONS = "schema/promptmill/schema/migrations/versions"
MOST_WAIT_S = 2.0
PROMPTMILL = (sys.executable, "-m", "promptmill.producer")


def version_skew(stage: Stage) -> None:
    """Old and new workers and dispatchers share queue and schema; some of each are killed."""
    old = older_release(stage)
    mill = stage.mill(
        dispatched=False, upgraded=False, WORKER__CONCURRENCY="10", CONFIRM_ABOVE_USD="1000"
    )
    batch = submit(stage, mill, old, jobs=stage.size(400, 10_000))
    refused = run(mill, {}, "status", check=False)
    assert "run `promptmill db upgrade`" in refused, refused
    stage.dispatch(mill, env=old)
    first = mill.start_worker(OPENAI, env=old)
    stage.wait_part(mill, batch)
    run(mill, {}, "db", "upgrade")
    stage.dispatch(mill)
    new = mill.start_worker(OPENAI)
    stage.wait_part(mill, batch, 0.3)
    first.kill()
    restarted = mill.start_worker(OPENAI, env=old)
    assert "of a newer release; this one may go on" in restarted.log.read_text()
    assert "at revision" in run(mill, old, "doctor", check=False)
    stage.wait_part(mill, batch, 0.6)
    new.kill()
    stage.judge(mill, batch, unbooked=20)


def migration(stage: Stage) -> None:
    """`promptmill db upgrade`, again and again, under four workers; nobody waits for it long."""
    old = older_release(stage)
    url = stage.postgres_url()
    mill = stage.mill(
        dispatched=False,
        upgraded=False,
        database_url=url,
        WORKER__CONCURRENCY="20",
        CONFIRM_ABOVE_USD="1000",
    )
    batch = submit(stage, mill, old, jobs=stage.size(1500, 20_000))
    stage.dispatch(mill, env=old)
    for worker in [mill.start_worker(OPENAI, env=old, ready=False) for _ in range(4)]:
        mill.wait_ready(worker)
    stage.wait_part(mill, batch)
    waits: list[float] = []
    errors: list[Exception] = []
    over = Event()

    def write() -> None:
        try:
            while not over.wait(0.02):
                began = monotonic()
                with mill.database.write() as connection:
                    connection.exec_driver_sql(f"update jobs set batch_id = {batch} where id = 1")
                    connection.exec_driver_sql("select count(*) from promptmill_batches")
                waits.append(monotonic() - began)
        except DatabaseError as error:
            errors.append(error)

    writer = Thread(target=write)
    writer.start()
    run(mill, {}, "db", "upgrade")
    while mill.states(batch).keys() & {"pending", "queued", "running", "waiting"}:
        with mill.database.write() as connection:  # so that triggers and views are made anew
            connection.exec_driver_sql("update revisions set definitions = 'older'")
        run(mill, {}, "db", "upgrade")
    over.set()
    writer.join()
    assert not errors, errors
    assert max(waits) < MOST_WAIT_S, f"a writer waited for {max(waits):.1f} s"
    stage.judge(mill, batch)


def older_release(stage: Stage) -> dict[str, str]:
    """Bring the release before the newest migration; return the environment that runs it."""
    newest = max(path.name for path in (ROOT / VERSIONS).glob("[0-9]*.py"))
    added = ("log", "--diff-filter=A", "--format=%H", "-1", "--", f"{VERSIONS}/{newest}")
    commit = _git(*added).decode().strip()
    if not commit:
        msg = f"git does not know since when {newest} is there"
        raise NotHereError(msg)
    folder = stage.new_folder()
    with tarfile.open(fileobj=BytesIO(_git("archive", f"{commit}^"))) as tree:
        tree.extractall(folder, filter="data")
    houses = [str(folder / house) for house in ("schema", "producer", "workers", "simulator")]
    code = "".join(path.read_text() for path in (folder / "schema").rglob("*.py"))
    news = [name for name in FAST if name.rpartition("__")[2].lower() not in code]
    # A variable that is empty is none: the older release need not know its setting.
    return {"PYTHONPATH": os.pathsep.join(houses), **{f"{PREFIX}{name}": "" for name in news}}


def submit(stage: Stage, mill: RunningMill, env: dict[str, str], *, jobs: int) -> int:
    """Make the older release's tables, and a batch in them."""
    run(mill, env, "db", "upgrade")
    source = stage.new_folder() / "prompts.jsonl"
    with source.open("w", encoding="utf-8") as file:
        for number in range(jobs):
            text = f"prompt{mill.canary} number {number}"
            body = {"model": MODELS[OPENAI], "messages": [{"role": "user", "content": text}]}
            file.write(json.dumps({"custom_id": f"row-{number}", "body": body}) + "\n")
    return int(run(mill, env, "submit", str(source)).split()[0])


def run(mill: RunningMill, env: dict[str, str], *words: str, check: bool = True) -> str:
    """Type a command of one of the releases; return all that it said."""
    done = mill.run_process(*PROMPTMILL, *words, env=env)
    assert done.returncode == 0 or not check, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def _git(*words: str) -> bytes:
    try:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        msg = "this is no checkout with a history, and there is no other release in it"
        raise NotHereError(msg) from error


FAULTS = (
    Fault("R28", "version_skew", "two releases share queue and schema", version_skew),
    Fault("R29", "migration", "an upgrade, again and again, under 4 workers", migration),
)
