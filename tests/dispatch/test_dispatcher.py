"""The loop goes on through outages and gives up the lead at its end."""

import time
from pathlib import Path
from threading import Event, Thread

import pytest
from structlog.testing import capture_logs

from promptmill.producer.dispatching.dispatch import ROLE, Dispatcher, run_dispatcher
from promptmill.schema.database import Database
from promptmill.schema.errors import ContractError
from promptmill.schema.presence import leader_of
from tests.dispatch.mill import Mill
from tests.services.waiting import wait_until


def test_it_feeds_until_it_is_told_to_stop(mill: Mill) -> None:
    batch = mill.scene.load(3000)
    mill.worker(concurrency=3000, keys={"openai": "k"})
    mill.settings = mill.tuned(depth_max=2500, depth_min=2500)
    url = mill.database.url.render_as_string(hide_password=False)
    settings = mill.settings.model_copy(update={"database_url": url})
    stop = Event()
    thread = Thread(target=run_dispatcher, args=(settings, stop))
    with capture_logs() as told:
        thread.start()
        try:
            wait_until(lambda: mill.states(batch).get(1) == 2500, "a full queue", timeout=30)
            wait_until(lambda: any(x["event"] == "dispatched" for x in told), "a line of progress")
        finally:
            stop.set()
            thread.join(10)
    assert not thread.is_alive()
    with mill.database.read() as connection:
        assert leader_of(connection, ROLE) is None


def test_an_outage_of_sql_is_told_once_and_survived(mill: Mill, tmp_path: Path) -> None:
    missing = Database(f"sqlite:///{tmp_path / 'empty.db'}")
    dispatcher = Dispatcher(mill.settings, missing, mill.sender(), owner="d1", clock=mill.now)
    with capture_logs() as told:
        for _ in mill.pass_time(30, step=1):
            assert not dispatcher._turn()
    missing.close()
    assert [line["event"] for line in told] == ["service lost"]


def test_an_idle_round_writes_nothing(mill: Mill) -> None:
    dispatcher = mill.dispatcher()
    dispatcher.round()
    with mill.database.write() as blocker:
        # SQLite has one writer: a round that wrote would wait for this one, and fail.
        started = time.monotonic()
        dispatcher.round()
        assert time.monotonic() - started < 5
        assert blocker.in_transaction()


def test_it_ends_when_a_newer_release_says_that_this_one_must_not_go_on(mill: Mill) -> None:
    dispatcher = mill.dispatcher()
    dispatcher._turn()
    with mill.database.write() as connection:
        connection.exec_driver_sql("update revisions set works_from = '9999'")
    for _ in mill.pass_time(5, step=5):
        pass
    with pytest.raises(ContractError, match="use that one here too"):
        dispatcher.run(Event())
