"""One mill under watch for all tests here: reading a page changes nothing in it."""

import json
import secrets
import socket
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from promptmill.simulator import Simulator, SimulatorConfig
from tests.flower.monitor import Monitor
from tests.services.running_mill import ANTHROPIC, OPENAI, RunningMill
from tests.services.valkey import Valkey
from tests.services.waiting import wait_until

_TRAP = "from pathlib import Path\nPath('flowerconfig.ran').touch()\nbasic_auth = []\n"
_LAST_SEEN = {"SUCCESS": 28, "FAILURE": 1, "RETRY": 1}


@dataclass(frozen=True, slots=True)
class Watched:
    """A worker has answered 30 prompts, and Flower has seen it."""

    mill: RunningMill
    flower: Monitor
    redis_password: str
    worker: str
    """its name in Celery"""


@pytest.fixture(scope="package")
def watched(run_folder: Path) -> Iterator[Watched]:
    folder = Path(tempfile.mkdtemp(dir=run_folder))
    home = folder / "mill"
    home.mkdir()
    (home / "flowerconfig.py").write_text(_TRAP)
    with Valkey(folder) as valkey, Simulator(SimulatorConfig()) as simulator:
        password = secrets.token_hex(16)
        # A doubled hint is harmless, but Flower would show that it was dropped.
        env = {"REDIS_URL": _over_tcp(valkey, password), "DISPATCH__HINT_AGE_S": "60"}
        with RunningMill(home, valkey, simulator, env=env) as mill, Monitor(mill) as flower:
            _answer(mill, simulator)
            wait_until(lambda: _states(flower) == _LAST_SEEN, "Flower to have seen all tasks")
            workers = json.loads(flower.get("/workers?json=1").text)["data"]
            yield Watched(mill, flower, password, workers[0]["hostname"])


def _over_tcp(valkey: Valkey, password: str) -> str:
    """Let a user with a password in over TCP, as at a server that others run."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    valkey.client.config_set("bind", "127.0.0.1", "port", port)
    valkey.client.acl_setuser(
        "mill",
        enabled=True,
        passwords=[f"+{password}"],
        categories=["+@all"],
        keys=["*"],
        channels=["*"],
    )
    return f"redis://mill:{password}@127.0.0.1:{port}/0"


def _answer(mill: RunningMill, simulator: Simulator) -> None:
    """Answer 28 of 30 prompts; line 4 takes two attempts, line 6 fails, line 10 waits."""
    simulator.add_fault("server_error", contains="number 3 ", count=1, retry_after="3")
    simulator.add_fault("content_policy", contains="number 5 ")
    simulator.add_fault("server_error", contains="number 9 ", retry_after="600")
    mill.start_worker(OPENAI, ANTHROPIC)
    batch = mill.load(30, providers=(OPENAI, ANTHROPIC))
    mill.start_dispatcher()
    wanted = {"succeeded": 28, "failed": 1, "waiting": 1}
    wait_until(lambda: mill.states(batch) == wanted, "all prompts but one to end", timeout=30)


def _states(flower: Monitor) -> Counter[str]:
    return Counter(row["state"] for row in flower.rows())
