"""The server and a worker are killed in the middle of a batch of three providers, and a call."""

from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from openai import APIConnectionError, OpenAI

from promptmill.producer.cli.flower import free_port
from promptmill.producer.limits.reading import LimitReader
from promptmill.schema.outcomes import AttemptOutcome
from promptmill.schema.states import JobState
from promptmill.simulator import Simulator
from tests.gateway.orders import ended, line, lines_of, order
from tests.services.running_gateway import key_of, serving
from tests.services.running_mill import MODELS, RunningMill
from tests.services.valkey import Valkey
from tests.services.waiting import wait_until
from tests.services.world import assert_world, paid_again

LINES = 120
OPEN = 10
"""calls at once"""


def test_a_batch_whose_server_and_worker_are_killed_is_completed_and_a_live_call_not_repeated(
    short_folder: Path, valkey: Valkey, simulator: Simulator
) -> None:
    simulator.configure(latency_s=0.2)
    simulator.add_fault("stall", contains="live", count=1)
    env = {"WORKER__CONCURRENCY": f"{OPEN}", "WORKER__CALL_TIMEOUT_S": "120"}
    with (
        RunningMill(short_folder, valkey, simulator, env=env) as mill,
        ExitStack() as opened,
    ):
        mill.start_dispatcher()
        worker = mill.start_worker(*MODELS)
        port = free_port("127.0.0.1", 0)
        client, caller = (
            opened.enter_context(
                OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=key, max_retries=0)
            )
            for key in (key_of(mill, "ours"), key_of(mill, "theirs", budget=1_000_000))
        )
        with serving(mill, port):
            call = caller.chat.completions.create(
                model=MODELS["openai"],
                messages=[{"role": "user", "content": "live"}],
                max_tokens=50,
                stream=True,
            )
            assert next(call).choices, "the server makes it, and has heard its first words"
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
        with pytest.raises(APIConnectionError):
            list(call)
        mill.start_worker(*MODELS)
        with serving(mill, port):
            done = ended(client, batch)
            assert done.status == "completed"
            assert done.request_counts
            assert done.request_counts.completed == LINES
            names = {f"{name}-{n}" for name in MODELS for n in range(LINES // 3)}
            assert lines_of(client, done.output_file_id).keys() == names
        assert_call_has_ended(mill)
        assert paid_again(mill) <= OPEN
        assert_world(mill, unbooked=OPEN)


def assert_call_has_ended(mill: RunningMill) -> None:
    """Nobody waits for it any more, so it is not asked again; it may have been charged."""
    (job,) = mill.sql(
        "select j.id, j.state, j.crashes, s.reserved_micros, s.unknown_micros from jobs j"
        " join batches b on b.id = j.batch_id join batch_spending s on s.batch_id = b.id"
        " where b.name like 'live_%'"
    )
    assert (job["state"], job["crashes"]) == (JobState.CANCELLED, 1)
    assert job["reserved_micros"] == 0
    assert job["unknown_micros"] > 0, "what it may have cost is kept"
    (attempt,) = mill.sql(f"select * from attempts where job_id = {job['id']}")
    assert (attempt["outcome"], attempt["error_code"]) == (AttemptOutcome.UNKNOWN, "worker_lost")
    with closing(LimitReader(mill.valkey.url, prefix=mill.settings.key_prefix)) as reader:
        wait_until(lambda: not any(reader.read().in_flight.values()), "its permit to come back")
