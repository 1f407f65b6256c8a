"""Redis is there, and refuses what is asked of it."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.crash.conftest import MakeMill
from tests.services.running_mill import OPENAI, RunningMill, Worker
from tests.services.waiting import wait_until
from tests.services.world import assert_world

JOBS = 60


def no_memory(client: Any) -> Callable[[], None]:
    """Refuse all that needs memory; what is returned ends that, as for those below."""
    client.config_set("maxmemory", 1)
    return lambda: client.config_set("maxmemory", 0)


def read_only(client: Any) -> Callable[[], None]:
    """Refuse every write, BRPOP too, as a server does that has become a replica."""
    client.execute_command("REPLICAOF", "127.0.0.1", "1")
    return lambda: client.execute_command("REPLICAOF", "NO", "ONE")


def no_ping(client: Any) -> Callable[[], None]:
    """Refuse PING besides, as a server does that cannot write its file (MISCONF)."""
    client.execute_command("ACL", "SETUSER", "default", "-@write", "-ping")
    return lambda: client.execute_command("ACL", "SETUSER", "default", "+@all")


def wait_said(worker: Worker, what: str, *, since: int = 0) -> None:
    """Wait until *worker* has logged *what* behind the first *since* bytes."""
    log = worker.log
    wait_until(lambda: worker.has_ended or what.encode() in log.read_bytes()[since:], what)


def wait_answered(mill: RunningMill, batch: int) -> None:
    """Wait for the first answer."""
    wait_until(lambda: mill.states(batch).get("succeeded"), "an answer")


def test_a_redis_that_refuses_writes_stops_no_worker(make_mill: MakeMill) -> None:
    mill = make_mill(WORKER__CONCURRENCY="5")
    mill.simulator.configure(latency_s=0.2)
    mill.start_dispatcher()
    worker = mill.start_worker(OPENAI)
    for refuse in (no_memory, read_only, no_ping):
        batch = mill.load(JOBS)
        wait_answered(mill, batch)
        told = worker.log.stat().st_size
        end = refuse(mill.valkey.client)
        wait_said(worker, "service lost", since=told)
        end()
        assert mill.wait_done(batch) == {"succeeded": JOBS}, refuse
        assert mill.requests(batch) == JOBS, refuse
    assert not worker.has_ended
    assert_world(mill)


@pytest.mark.long
def test_a_worker_that_starts_while_redis_refuses_works_as_soon_as_it_may(
    make_mill: MakeMill,
) -> None:
    mill = make_mill()
    mill.start_dispatcher()
    for refuse, sign in ((read_only, " ready."), (no_ping, "service lost")):
        end = refuse(mill.valkey.client)
        worker = mill.start_worker(OPENAI)
        wait_said(worker, sign)
        end()
        batch = mill.load(5)
        assert mill.wait_done(batch) == {"succeeded": 5}, refuse
        assert not worker.has_ended
        worker.kill()
    assert_world(mill)
