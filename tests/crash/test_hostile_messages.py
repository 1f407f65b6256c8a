"""What others put into a queue stops no worker, and is not run."""

from pathlib import Path

from tests.crash.conftest import MakeMill
from tests.crash.hostile import UNREADABLE, hostile_messages, push
from tests.services.running_mill import OPENAI
from tests.services.world import assert_world

JOBS = 20


def test_messages_that_nobody_of_us_wrote_stop_no_worker_and_are_not_run(
    make_mill: MakeMill, tmp_path: Path
) -> None:
    mill = make_mill()
    pickled = tmp_path / "pickled"
    messages = hostile_messages(str(pickled))
    push(mill, *(message for shape, message in messages.items() if shape not in UNREADABLE))
    mill.start_dispatcher()
    worker = mill.start_worker(OPENAI)
    batch = mill.load(JOBS)
    assert mill.wait_done(batch) == {"succeeded": JOBS}
    assert mill.requests(batch) == JOBS
    assert not worker.has_ended
    assert not pickled.exists()
    assert_world(mill)
