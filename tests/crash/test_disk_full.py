"""No room is left for the database; then there is some again."""

from pathlib import Path

from tests.crash.conftest import MakeMill
from tests.services.running_mill import OPENAI
from tests.services.waiting import wait_until
from tests.services.world import assert_world

JOBS = 100


def test_a_full_disk_stops_the_calls_and_loses_no_answer(
    make_mill: MakeMill, tmp_path: Path
) -> None:
    mill = make_mill(WORKER__CONCURRENCY="20")
    mill.simulator.configure(latency_s=0.2)
    mill.start_dispatcher()
    full = tmp_path / "full"
    app = "tests.crash.full_disk_app"
    worker = mill.start_worker(OPENAI, app=app, env={"FULL_DISK": str(full)})
    batch = mill.load(JOBS)
    wait_until(lambda: mill.states(batch).get("succeeded"), "the first answers")
    full.touch()
    wait_until(lambda: "sql away" in worker.log.read_text(), "the worker to notice")
    claimed = "select count(*) as n from attempts"
    wait_until(
        lambda: not any(row.finished_at is None for row in mill.simulator.bill()), "open calls"
    )
    assert mill.requests(batch) <= mill.sql(claimed)[0]["n"] < JOBS
    full.unlink()
    assert mill.wait_done(batch) == {"succeeded": JOBS}
    assert mill.requests(batch) == JOBS
    assert_world(mill)
