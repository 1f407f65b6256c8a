"""The server and a worker are killed in the middle of a batch over three providers."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
from openai import OpenAI

from promptmill.producer.cli.flower import free_port
from promptmill.schema.tenants import Scope, add_key
from promptmill.simulator import Simulator
from tests.gateway.orders import ended, line, lines_of, order
from tests.services.running_mill import MODELS, RunningMill
from tests.services.valkey import Valkey
from tests.services.waiting import wait_until
from tests.services.world import assert_world, paid_again

LINES = 120
OPEN = 10
"""calls at once"""


def test_a_batch_whose_server_and_worker_are_killed_is_completed_each_line_once(
    short_folder: Path, valkey: Valkey, simulator: Simulator
) -> None:
    simulator.configure(latency_s=0.2)
    env = {"WORKER__CONCURRENCY": f"{OPEN}"}
    with (
        RunningMill(short_folder, valkey, simulator, env=env) as mill,
        ExitStack() as opened,
    ):
        mill.start_dispatcher()
        worker = mill.start_worker(*MODELS)
        with mill.database.write() as connection:
            _, key = add_key(connection, "ours", label="", scopes=list(Scope))
        port = free_port("127.0.0.1", 0)
        client = opened.enter_context(
            OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=key.reveal(), max_retries=0)
        )
        with serving(mill, port):
            batch = order(
                client,
                *(
                    line(f"{name}-{n}", model, f"question {n}")
                    for n in range(LINES // 3)
                    for name, model in MODELS.items()
                ),
            )
            wait_until(lambda: len(mill.sql("select 1 from results")) >= 20, "some answers")
            worker.kill()
        mill.start_worker(*MODELS)
        with serving(mill, port):
            done = ended(client, batch)
            assert done.status == "completed"
            assert done.request_counts
            assert done.request_counts.completed == LINES
            names = {f"{name}-{n}" for name in MODELS for n in range(LINES // 3)}
            assert lines_of(client, done.output_file_id).keys() == names
        assert paid_again(mill) <= OPEN
        assert_world(mill, unbooked=OPEN)


@contextmanager
def serving(mill: RunningMill, port: int) -> Iterator[None]:
    """Serve until the end of the block, then be killed as by a crash."""
    command = (sys.executable, "-m", "promptmill.producer", "serve", "--port", f"{port}")
    process = mill.start_process(*command, log="serve.log")
    try:
        wait_until(lambda: is_ready(process, port), "the server, see serve.log")
        yield
    finally:
        process.kill()
        process.wait(10)


def is_ready(process: "subprocess.Popen[bytes]", port: int) -> bool:
    assert process.poll() is None, "the server ended"
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    except httpx2.TransportError:
        return False
