"""A submit that is killed with -9, and typed again."""

import signal
import subprocess
from pathlib import Path

from tests.cli.promptmill import PROGRAM, typed
from tests.schema.scene import Scene
from tests.services.waiting import wait_until
from tests.submit.inputs import write_batch

LINES = 25_000


def test_a_submit_killed_in_the_middle_is_resumed_without_a_double(
    scene: Scene, tmp_path: Path
) -> None:
    source = write_batch(tmp_path / "in.jsonl", LINES)
    with subprocess.Popen(
        [*PROGRAM, "submit", str(source), "--yes"], stderr=subprocess.PIPE
    ) as process:
        wait_until(lambda: scene.count("jobs") or process.poll() is not None, "a chunk", timeout=60)
        process.send_signal(signal.SIGKILL)
        process.wait()
    loaded = scene.count("jobs")
    assert 0 < loaded < LINES
    assert loaded == scene.sql("select max(position) as last from jobs")[0].last
    assert [row.state for row in scene.sql("select state from batches")] == ["loading"]

    again = typed("submit", source, "--yes")
    assert (again.code, again.out) == (0, "1\n"), again.err
    assert "which an earlier submit had begun" in again.err
    assert [row.state for row in scene.sql("select state from batches")] == ["open"]
    found = scene.sql(
        "select count(*) as jobs, count(distinct custom_id) as ids, max(position) as last from jobs"
    )
    assert vars(found[0]) == {"jobs": LINES, "ids": LINES, "last": LINES}
    assert scene.count("job_payloads") == LINES
    scene.assert_sums()
