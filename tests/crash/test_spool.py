"""SQL goes away with calls open, and a worker ends before it is back: nothing is bought again."""

import base64
import re
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from promptmill.schema.database import Database
from promptmill.workers.spool import find_leftovers
from tests.crash.conftest import MakeMill
from tests.services.postgres import Postgres
from tests.services.running_mill import OPENAI, RunningMill, Worker
from tests.services.sql_proxy import SqlProxy
from tests.services.waiting import wait_until
from tests.services.world import assert_world

OPEN = 20
"""calls open in each worker"""
JOBS = 8 * OPEN
"""more than one worker takes into its hands, so that each of two has calls open"""
_KEY = rb'"job_id": (\d+), "fence": (\d+)'


@pytest.fixture
def line(short_folder: Path, run_folder: Path, postgres: Postgres) -> Iterator[SqlProxy]:
    """What every process of the mill goes through to SQL."""
    del postgres  # is there
    with SqlProxy(short_folder, run_folder / "postgres") as line:
        yield line


@pytest.fixture
def url(postgres_url: str, short_folder: Path) -> str:
    return re.sub("host=.*", f"host={short_folder}", postgres_url)


def with_calls_open(mill: RunningMill, line: SqlProxy, *, workers: int) -> tuple[int, list[Worker]]:
    """Start a batch, and take SQL away while as many calls as can be are open."""
    mill.simulator.configure(latency_s=0.7)
    mill.start_dispatcher()
    crew = [mill.start_worker(OPENAI, ready=False) for _ in range(workers)]
    for worker in crew:
        mill.wait_ready(worker)
    batch = mill.load(JOBS)
    wait_until(lambda: working(mill) == workers, "each worker to have calls open")
    line.refuse()
    return batch, crew


def working(mill: RunningMill) -> int:
    """Count the workers that have as many calls open at the provider as they may.

    An intent alone is no call yet: a worker that is told to stop then sends nothing.
    """
    called = called_attempts(mill)
    intents = mill.sql("select worker_id, job_id, fence from attempts where outcome = 0")
    open_ = Counter(row["worker_id"] for row in intents if (row["job_id"], row["fence"]) in called)
    return list(open_.values()).count(OPEN)


def called_attempts(mill: RunningMill) -> set[tuple[int, int]]:
    """Job and fence of what the provider has received."""
    ids = [row.client_request_id.split("-") for row in mill.simulator.bill()]
    return {(int(job), int(fence)) for _batch, job, fence in ids}


def spooled(mill: RunningMill) -> list[Path]:
    return sorted((mill.folder / "answers").glob("*.spool"))


def kept(mill: RunningMill) -> set[tuple[int, int]]:
    """Job and fence of what is in the spool."""
    data = b"".join(path.read_bytes() for path in spooled(mill))
    return {(int(job), int(fence)) for job, fence in re.findall(_KEY, data)}


def wait_spooled(mill: RunningMill, postgres_url: str) -> int:
    """Wait until every answer that SQL does not have is in the spool; return how many."""

    def are_kept() -> bool:
        with database.read() as connection:
            found = connection.exec_driver_sql(
                "select job_id, fence from attempts where outcome = 0"
            )
            return kept(mill) == {*map(tuple, found)} & called_attempts(mill)

    database = Database(postgres_url)
    wait_until(are_kept, "all answers that SQL does not have to be in the spool", timeout=20)
    database.close()
    return len(kept(mill))


def assert_nothing_was_bought_again(mill: RunningMill, batch: int) -> None:
    assert mill.wait_done(batch, 60) == {"succeeded": JOBS}
    assert mill.requests(batch) == JOBS
    wait_until(lambda: not list((mill.folder / "answers").iterdir()), "the spool to be empty")
    assert_world(mill, away_s=30)  # SQL was away until a moment ago


def test_a_worker_killed_with_answers_in_its_spool_loses_none_to_the_sweeper(
    make_mill: MakeMill, line: SqlProxy, url: str, postgres_url: str
) -> None:
    """The one that lives stores them before it claims what was rescued."""
    mill = make_mill(database_url=url, WORKER__CONCURRENCY=str(OPEN))
    batch, (doomed, _other) = with_calls_open(mill, line, workers=2)
    answers = wait_spooled(mill, postgres_url)
    assert len(spooled(mill)) == 2
    doomed.kill()
    assert 0 < no_key_is_in(mill) < answers
    line.heal()
    assert_nothing_was_bought_again(mill, batch)


def no_key_is_in(mill: RunningMill) -> int:
    """Look for the key in what the dead left; return how many answers that is."""
    answers = 0
    for leftover in find_leftovers(mill.folder / "answers", but=set()):
        for record in leftover.records():
            answers += 1
            raw = base64.b64decode(record.closing.attempted.body_base64 or "")
            assert f"key{mill.canary}" not in repr(record) + raw.decode(errors="replace")
    return answers


@pytest.mark.long
def test_sigterm_while_sql_is_away_leaves_the_answers_on_disk_and_ends_in_time(
    make_mill: MakeMill, line: SqlProxy, url: str
) -> None:
    mill = make_mill(database_url=url, WORKER__CONCURRENCY=str(OPEN))
    batch, (worker,) = with_calls_open(mill, line, workers=1)
    began = monotonic()
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert monotonic() - began < mill.settings.worker.grace_s
    assert len(spooled(mill)) == 1
    line.heal()
    mill.start_worker(OPENAI)
    assert_nothing_was_bought_again(mill, batch)


@pytest.mark.long
def test_a_spool_without_room_keeps_answers_in_memory_and_nothing_is_called(
    make_mill: MakeMill, line: SqlProxy, url: str
) -> None:
    mill = make_mill(database_url=url, WORKER__CONCURRENCY=str(OPEN), WORKER__SPOOL_BYTES="1k")
    batch, (worker,) = with_calls_open(mill, line, workers=1)
    wait_until(lambda: "spool: full" in worker.log.read_text(), "the spool to be full")
    wait_until(lambda: all(row.complete for row in mill.simulator.bill()), "the calls to end")
    assert len(kept(mill)) <= 1
    assert mill.requests(batch) < JOBS
    line.heal()
    assert_nothing_was_bought_again(mill, batch)
