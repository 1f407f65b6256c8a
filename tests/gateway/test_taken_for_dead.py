"""Clients wait for a gateway that is taken for dead, or that SQL is away from for a while."""

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from openai import InternalServerError, OpenAI
from structlog.testing import capture_logs

from promptmill.gateway.context import Gateway
from promptmill.gateway.course import Course
from promptmill.gateway.live import LiveCall, Reply
from promptmill.gateway.server import make_gateway
from promptmill.schema.database import Database
from promptmill.schema.moves.endings import finish
from promptmill.schema.moves.rescuing import forsake, rescue, running_of, unwaited_calls
from promptmill.schema.moves.steering import cancel_jobs
from promptmill.schema.presence import stop_worker
from promptmill.schema.settings import Settings
from promptmill.schema.states import BatchState, JobState
from promptmill.schema.tenants import Scope, add_key
from tests.gateway.conftest import IDLE
from tests.gateway.test_live import say
from tests.schema.scene import ANSWER, ANSWERED, Scene
from tests.services.running_gateway import RunningGateway
from tests.services.running_mill import MODELS, OPENAI, RunningMill
from tests.services.sql_proxy import SqlProxy
from tests.services.waiting import wait_until
from tests.services.world import assert_world

CHAT = "/v1/chat/completions"


@pytest.fixture
def line(short_folder: Path, run_folder: Path, postgres_copy: str) -> Iterator[SqlProxy]:
    """What the gateway goes through to SQL."""
    del postgres_copy  # is there
    with SqlProxy(short_folder, run_folder / "postgres") as line:
        yield line


@pytest.fixture
def cut_off(
    settings: Settings, database_url: str, line: SqlProxy, short_folder: Path
) -> Iterator[Gateway]:
    """A gateway at the end of the line, which answers nothing itself."""
    del line  # is there
    database = Database(re.sub("host=.*", f"host={short_folder}", database_url))
    yield make_gateway(settings, database)
    database.close()


def sweep_as_if_dead(mill: RunningMill, gateway: str) -> None:
    """Do what the sweep does once the beat of *gateway* has stood still for long."""
    with mill.database.write() as connection:
        stop_worker(connection, gateway)
        calls = unwaited_calls(connection, most=100)
        forsake(connection, calls)
        lost = running_of(connection, gateway, most=100)
        rescue(connection, lost, worker_id=gateway, alone=False, max_crashes=3, reason="lost")
        for call in calls:
            cancel_jobs(connection, call)


def test_what_was_sent_is_answered_and_what_was_not_is_503(
    mill: RunningMill, served: RunningGateway, client: OpenAI
) -> None:
    def ask(provider: str) -> str | None:
        model = f"{provider}/{MODELS[OPENAI]}"
        said = client.chat.completions.create(model=model, messages=say("Hello"))
        return said.choices[0].message.content

    assert ask(OPENAI)
    name = served.gateway.answering.worker_id
    assert name
    before = mill.sql("select max(id) as id from jobs")[0]["id"]
    asked = f"select provider, state from jobs where id > {before}"

    def are_asked() -> bool:
        states = {row["provider"]: row["state"] for row in mill.sql(asked)}
        return len(states) == 2 and states[OPENAI] == JobState.RUNNING

    mill.simulator.configure(latency_s=1.5)
    with ThreadPoolExecutor(2) as callers:
        sent, unsent = callers.submit(ask, OPENAI), callers.submit(ask, IDLE)
        wait_until(are_asked, "one call to be sent, and one to be stored")
        mill.simulator.configure(latency_s=0.0)
        sweep_as_if_dead(mill, name)
        with pytest.raises(InternalServerError, match="cancelled before it was") as refused:
            unsent.result(30)
        assert refused.value.status_code == 503
        assert sent.result(30)
    states = {row["provider"]: row["state"] for row in mill.sql(asked)}
    assert states == {OPENAI: JobState.SUCCEEDED, IDLE: JobState.CANCELLED}
    assert len(mill.sql(f"select 1 from attempts where job_id > {before}")) == 1
    wait_until(lambda: served.gateway.answering.worker_id != name, "its new name")
    assert ask(OPENAI)
    assert_world(mill)


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_a_call_outlives_an_absence_of_sql_and_one_that_is_left_meanwhile_is_taken_back(
    database: Database, line: SqlProxy, cut_off: Gateway
) -> None:
    scene = Scene(database)
    with database.write() as connection:
        add_key(connection, "ours", label="", scopes=list(Scope))

    def answer() -> None:
        """As a worker does."""
        (waited_for,) = scene.sql(f"select id from batches where state = '{BatchState.OPEN}'")
        hints = scene.queue(waited_for.id, model=MODELS[OPENAI])
        scene.close(*(finish(*each, ANSWERED, ANSWER) for each in scene.claim(*hints).items()))

    async def begin() -> Course:
        course = Course(cut_off, LiveCall(cut_off, 1, CHAT), hears=False)
        await course.begin({"model": MODELS[OPENAI], "messages": say("Hello")})
        return course

    async def wait(what: str) -> None:
        def is_told() -> bool:
            return any(log["event"] == what for log in logs)

        await asyncio.to_thread(wait_until, is_told, what)

    async def is_gone() -> bool:
        return False

    async def call() -> Reply | None:
        waits, leaves = await begin(), await begin()
        line.refuse()
        steps = waits.steps(is_gone)
        assert await anext(steps) is None
        leaves.leave()
        await wait("not taken back")
        line.heal()
        await asyncio.to_thread(wait_until, lambda: is_taken_back(scene), "the call that was left")
        await asyncio.to_thread(answer)
        replies = [step async for step in steps if step is not None]
        waits.leave()
        await cut_off.answering.close()
        (reply,) = replies
        assert isinstance(reply, Reply)
        return reply

    with capture_logs() as logs:
        reply = asyncio.run(call())
    assert reply is not None
    assert reply.status == 200
    assert reply.body["choices"][0]["message"]["content"] == ANSWER.text
    assert "sql away" in [log["event"] for log in logs]


def is_taken_back(scene: Scene) -> bool:
    return bool(scene.sql(f"select 1 from batches where state = '{BatchState.CANCELLED}'"))
