"""Who deals with the world outside is killed: clients' gateway, webhooks, schedules: R60 to R62."""

import signal
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from openai import APIConnectionError, OpenAI

from promptmill.producer.cli.flower import free_port
from promptmill.producer.scheduling.arguments import stored_arguments
from promptmill.schema.schedules import NewSchedule, Overlap, add_schedule
from promptmill.schema.states import JobState
from tests.chaos.catalogue import Fault
from tests.chaos.doomed_dispatcher import BATCH_MADE, WEBHOOK_SENT
from tests.chaos.stage import Stage
from tests.services.running_gateway import key_of, serving
from tests.services.running_mill import MODELS, OPENAI, RunningMill
from tests.services.waiting import wait_until
from tests.services.world import assert_world
from tests.webhooks.receiver import Receiver

DOOMED = (sys.executable, "-m", "tests.chaos.doomed_dispatcher")
CALLERS = 20
_LIVE = "from jobs j join batches b on b.id = j.batch_id where b.name like 'live_%'"


def gateway(stage: Stage) -> None:
    """A gateway is killed again and again with live calls open; nobody waits for them then."""
    mill = stage.mill(latency_s=1.0, WORKER__CONCURRENCY=str(CALLERS))
    mill.start_worker(OPENAI)
    port = free_port("127.0.0.1", 0)
    client = OpenAI(
        base_url=f"http://127.0.0.1:{port}/v1", api_key=key_of(mill, "ours"), max_retries=0
    )

    def call(number: int) -> None:
        with suppress(APIConnectionError):
            client.chat.completions.create(
                model=MODELS[OPENAI], messages=[{"role": "user", "content": f"call {number}"}]
            )

    running = f"select 1 {_LIVE} and j.state = {JobState.RUNNING:d}"
    with client, ThreadPoolExecutor(CALLERS) as callers:
        for _ in range(stage.size(3, 15)):
            with serving(mill, port):
                for number in range(CALLERS):
                    callers.submit(call, number)
                wait_until(lambda: len(mill.sql(running)) >= CALLERS / 2, "some calls to be open")
                stage.pause(stage.rng.uniform(0.0, 1.0))
    wait_until(lambda: not mill.sql(f"select 1 {_LIVE} and j.state < 4"), "all calls to end")
    stage.measure(mill)
    crashes = mill.sql("select coalesce(sum(crashes), 0) as n from jobs")[0]["n"]
    assert crashes, "no call was open"
    assert_world(mill, unbooked=crashes)
    asked = Counter(row.client_request_id.split("-")[1] for row in mill.simulator.bill())
    assert set(asked.values()) == {1}, "a call was asked again, for nobody"


def webhook(stage: Stage) -> None:
    """A dispatcher is killed when its webhook was taken and that is not booked yet."""
    with Receiver() as receiver:
        mill = stage.mill(
            dispatched=False,
            WEBHOOKS__URL=f"{receiver.url}/all",
            WEBHOOKS__ALLOW_PRIVATE="true",
            WEBHOOKS__TIMEOUT_S="1",
        )
        doomed = mill.start_process(*DOOMED, log="dispatch.log", env={"MINE": WEBHOOK_SENT})
        mill.start_worker(OPENAI)
        batch = mill.load(stage.size(10, 1000))
        assert doomed.wait(120) == -signal.SIGKILL
        stage.dispatch(mill)
        wait_until(
            lambda: mill.sql("select 1 from webhook_deliveries where state = 'delivered'"),
            "it to be sent again when the lease of the first is over",
            timeout=90,
        )
        stage.judge(mill, batch)
        first, second = receiver.received
        assert (first.id, first.body) == (second.id, second.body), "another one was sent"


def schedule(stage: Stage) -> None:
    """A dispatcher is killed when the batch of a time is made and the clock has not moved on."""
    mill = stage.mill(dispatched=False)
    prompts = stage.new_folder() / "prompts.txt"
    prompts.write_text("".join(f"question {n}\n" for n in range(stage.size(10, 1000))))
    _add_schedule(mill, prompts)
    doomed = mill.start_process(*DOOMED, log="dispatch.log", env={"MINE": BATCH_MADE})
    assert doomed.wait(120) == -signal.SIGKILL
    made = "select id from batches where schedule_id is not null"
    (batch,) = mill.sql(made)
    with mill.database.write() as connection:  # its lease of two minutes is over
        connection.exec_driver_sql("update schedules set leased_until = null")
    stage.dispatch(mill)
    mill.start_worker(OPENAI)
    moved = f"select 1 from schedules where batch_id = {batch['id']} and leased_until is null"
    wait_until(lambda: mill.sql(moved), "the clock to move on")
    stage.judge(mill, batch["id"])
    assert mill.sql(made) == [batch], "another batch of the same time"


def _add_schedule(mill: RunningMill, prompts: Path) -> None:
    typed = {"source": str(prompts), "model": [MODELS[OPENAI]], "limit": None}
    arguments = stored_arguments(typed, folder=Path.cwd())
    new = NewSchedule("daily", "0 0 1 1 *", "UTC", arguments, Overlap.ALLOW, datetime.now(UTC))
    with mill.database.write() as connection:
        assert add_schedule(connection, new)


FAULTS = (
    Fault("R60", "gateway", "kill -9 of a gateway with live calls open, again and again", gateway),
    Fault("R61", "webhook", "kill -9 between the sending of a webhook and its booking", webhook),
    Fault("R62", "schedule", "kill -9 between the batch of a time and the next time", schedule),
)
