"""The test of the tests: `assert_world` finds what is wrong."""

import base64
import sqlite3
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from promptmill.simulator import Simulator, SimulatorConfig
from tests.services.running_mill import RunningMill
from tests.services.valkey import Valkey
from tests.services.waiting import wait_until
from tests.services.world import assert_world

_ANOTHER_TRY = (
    "insert into attempts (job_id, fence, batch_id, provider, model, worker_id, started_at,"
    " ended_at, outcome, output_tokens) select job_id, 0, batch_id, provider, model, worker_id,"
    " started_at, ended_at, 3, {} from attempts"
)
_A_MINUTE_BACK = "update workers set beat_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 minute')"
WRONG = {
    "a lost job": ("delete from jobs where id = (select max(id) from jobs)", "2 jobs of 3"),
    "a payload that is gone": ("delete from job_payloads", "without a payload"),
    "a result that is gone": (
        "delete from results where job_id = (select max(id) from jobs)",
        "without the other",
    ),
    "a result of another run": ("update results set fence = fence + 1", "another run's result"),
    "an answer without a result": (
        "update jobs set state = 5; delete from results",
        "what no result has",
    ),
    "a call without a row": (
        "delete from attempts where job_id = (select max(id) from jobs)",
        "what no result has|has no row in attempts",
    ),
    "a call that is said not to be sent": (
        "update attempts set outcome = 4; update jobs set state = 5; delete from results",
        "was sent after all",
    ),
    "more tries than allowed": (_ANOTHER_TRY.format("null"), "was tried 2 times, 1 allowed"),
    "more attempts than the policy has": ("update jobs set attempts = 99", "99 attempts"),
    "a try after an unknown outcome that is to be held": (
        "update jobs set crashes = 1; update batches set on_unknown = 'hold';"
        + _ANOTHER_TRY.format("null"),
        "and should be held",
    ),
    "too few tokens booked": (
        "update attempts set output_tokens = output_tokens - 1",
        r"booked \(\d+, \d+\) of",
    ),
    "tokens that nobody was asked for": (
        "update jobs set crashes = 1; " + _ANOTHER_TRY.format(5),
        "never asked",
    ),
    "a cost that is off": ("update attempts set cost_micros = cost_micros + 1", "micro-dollars"),
    "a cost that is missing": ("update attempts set cost_micros = null", "booked none"),
    "a counter that is off": ("update batch_counts set jobs = jobs + 1", "by select batch_id"),
    "a rollup that is off": ("update usage_hourly set calls = calls + 1", "from attempts"),
    "a rescue that took a minute": (
        f"update attempts set error_code = 'worker_lost'; {_A_MINUTE_BACK}",
        "rescued after",
    ),
    "a key in SQL": ("update attempts set error_text = 'key%s'", "a key is in table attempts"),
    "a key in base64": (
        "update attempts set error_text = '%b'",
        "a key is in table attempts",
    ),
    "a prompt in SQL": ("update batches set name = 'prompt%s'", "a prompt is in table batches"),
}
"""what is done to the tables, and what is said of it"""


@pytest.fixture(scope="module")
def finished(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMill]:
    """A mill that has answered three prompts, and whose tables nobody guards any more."""
    folder = tmp_path_factory.mktemp("mill")
    with (
        Valkey(Path(tempfile.mkdtemp(dir=run_folder))) as valkey,
        Simulator(SimulatorConfig()) as simulator,
        RunningMill(folder, valkey, simulator) as mill,
    ):
        stop = mill.start_dispatcher()
        worker = mill.start_worker()
        mill.wait_done(mill.load(3))
        stop()
        worker.kill()
        with mill.database.write() as connection:
            for row in mill.sql("select name from sqlite_master where type = 'trigger'"):
                connection.exec_driver_sql(f"drop trigger {row['name']}")
        yield mill


@contextmanager
def tampered(mill: RunningMill, statement: str) -> Iterator[None]:
    """Change the database, and put it back as it was."""
    before = mill.folder / "before.db"
    with closing(sqlite3.connect(mill.folder / "promptmill.db")) as live:
        with closing(sqlite3.connect(before)) as kept:
            live.backup(kept)
        coded = base64.b64encode(f"Bearer key{mill.canary}!".encode()).decode()
        try:
            live.executescript(statement.replace("%s", mill.canary).replace("%b", coded))
            yield
        finally:
            with closing(sqlite3.connect(before)) as kept:
                kept.backup(live)
            # What was written and does not count any more would be found, too.
            live.execute("vacuum")
            live.execute("pragma wal_checkpoint(truncate)")


def test_nothing_is_found_where_nothing_is_wrong(finished: RunningMill) -> None:
    assert_world(finished)


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_in_sql_is_found(finished: RunningMill, what: str) -> None:
    statement, said = WRONG[what]
    with tampered(finished, statement), pytest.raises(AssertionError, match=said):
        assert_world(finished)


def test_a_request_that_nobody_booked_is_found(
    tmp_path: Path, valkey: Valkey, simulator: Simulator
) -> None:
    with RunningMill(tmp_path, valkey, simulator) as mill:
        batch = mill.load(1)
        assert_world(mill, ended=False)
        body = b'{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "2 + 2"}]}'
        headers = {"Content-Type": "application/json", "X-Client-Request-Id": f"{batch}-1-1"}
        url = f"{simulator.openai_url}/chat/completions"
        with urllib.request.urlopen(urllib.request.Request(url, body, headers)):  # noqa: S310
            pass
        with pytest.raises(AssertionError, match="has no row in attempts"):
            assert_world(mill, ended=False)


@pytest.mark.parametrize("what", ["key", "prompt"])
def test_what_leaks_is_found(finished: RunningMill, what: str) -> None:
    secret = f"{what}{finished.canary}"
    with pytest.raises(AssertionError, match="is in events"):
        assert_world(finished, events=[{"args": secret}])
    log = finished.folder / "other.log"
    log.write_text(secret)
    with pytest.raises(AssertionError, match=r"is in other\.log"):
        assert_world(finished)
    log.unlink()
    if what == "key":
        file = finished.folder / "spool.bin"
        file.write_bytes(b"\0" + secret.encode())
        with pytest.raises(AssertionError, match=r"is in the file spool\.bin"):
            assert_world(finished)
        file.unlink()
    redis = finished.valkey
    redis.client.set("a", secret)
    with pytest.raises(AssertionError, match="is in Redis"):
        assert_world(finished)
    redis.client.delete("a")
    redis.client.bgrewriteaof()
    wait_until(lambda: not redis.client.info()["aof_rewrite_in_progress"], "the rewriting")
    wait_until(lambda: secret not in redis.written(), "Redis to forget it")
