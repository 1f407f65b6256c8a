"""The test of the tests: `assert_world` finds what is wrong."""

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

WRONG = {
    "a lost job": "delete from jobs where id = (select max(id) from jobs)",
    "a result that is gone": "delete from results where job_id = (select max(id) from jobs)",
    "a result of another run": "update results set fence = fence + 1",
    "a call without a row": "delete from attempts where job_id = (select max(id) from jobs)",
    "a call that is said not to be sent": "update attempts set outcome = 4",
    "too few tokens booked": "update attempts set output_tokens = output_tokens - 1",
    "a counter that is off": "update batch_counts set jobs = jobs + 1",
    "a key in SQL": "update attempts set error_text = 'key%s'",
    "a prompt in SQL": "update batches set name = 'prompt%s'",
}


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
        live.execute(statement.replace("%s", mill.canary))
        live.commit()
        yield
        with closing(sqlite3.connect(before)) as kept:
            kept.backup(live)


def test_nothing_is_found_where_nothing_is_wrong(finished: RunningMill) -> None:
    assert_world(finished)


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_in_sql_is_found(finished: RunningMill, what: str) -> None:
    with tampered(finished, WRONG[what]), pytest.raises(AssertionError):
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
    redis = finished.valkey
    redis.client.set("a", secret)
    with pytest.raises(AssertionError, match="is in Redis"):
        assert_world(finished)
    redis.client.delete("a")
    redis.client.bgrewriteaof()
    wait_until(lambda: not redis.client.info()["aof_rewrite_in_progress"], "the rewriting")
    wait_until(lambda: secret not in redis.written(), "Redis to forget it")
