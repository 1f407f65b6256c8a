"""What a provider's batch API refuses, loses or hides, over the wire.

On PostgreSQL, with the lane in a thread of this process, so that it can be begun again with another
key; there is no worker that asks live.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from promptmill.producer.control import cancel, resume_provider
from promptmill.schema.lanes import Lane
from promptmill.schema.outcomes import AttemptOutcome
from promptmill.schema.pauses import pause_provider
from promptmill.schema.secret import Secret
from promptmill.schema.settings import Settings
from promptmill.simulator import Simulator, SimulatorConfig
from promptmill.simulator.provider import Provider
from promptmill.workers.lane.loop import LaneLoop
from tests.lane.laned import served
from tests.services.postgres import Postgres
from tests.services.running_mill import ANTHROPIC, FAST_LANE, GEMINI, OPENAI, RunningMill
from tests.services.valkey import Valkey
from tests.services.waiting import wait_until
from tests.services.world import assert_world

THRIFTY = "thrifty"
MOST_TOKENS = 300
LOOKS = 10
HOUR = 3600
Heard = list[tuple[int, AttemptOutcome]]


@pytest.fixture(scope="module")
def mill(
    run_folder: Path, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningMill]:
    database = postgres.create_database()
    env = {
        **FAST_LANE,
        "LANE__JOBS": "25",
        f"PROVIDERS__{THRIFTY.upper()}__BATCH_API": "true",
        f"PROVIDERS__{THRIFTY.upper()}__BATCH_TOKENS": str(MOST_TOKENS),
    }
    with (
        Valkey(Path(tempfile.mkdtemp(dir=run_folder))) as valkey,
        Simulator(SimulatorConfig()) as simulator,
        RunningMill(
            tmp_path_factory.mktemp("mill"),
            valkey,
            simulator,
            database_url=postgres.url(database),
            env=env,
            vendors=(THRIFTY,),
        ) as running,
    ):
        running.start_dispatcher()
        yield running
        lost = "select 1 from attempts where error_code = 'batch_results_lost'"
        assert_world(running, unbooked=len(running.sql(lost)))
    postgres.drop_database(database)


@contextmanager
def lane(mill: RunningMill, *names: str, key: str | None = None, **terms: Any) -> Iterator[Heard]:
    """Let the lane of some providers work; tell which jobs it heard of."""
    settings = changed(mill.settings, key, terms)
    heard: Heard = []
    loop = LaneLoop(
        settings,
        mill.database,
        {name: served(name, settings) for name in names},
        trace=lambda _kind, job, _fence, _reply, attempted: heard.append(
            (job.job_id, attempted.outcome)
        ),
    )
    loop.start()
    try:
        yield heard
    finally:
        loop.stop()


def changed(settings: Settings, key: str | None, terms: dict[str, Any]) -> Settings:
    lane = settings.lane.model_copy(update=terms)
    secret = {} if key is None else {"api_key": Secret(key)}
    providers = {name: one.model_copy(update=secret) for name, one in settings.providers.items()}
    return settings.model_copy(update={"lane": lane, "providers": providers})


def provider_batches(mill: RunningMill, batch: int) -> list[dict[str, Any]]:
    return mill.sql(
        "select state, jobs, tokens, problem, tries from provider_batches"
        f" where batch_id = {batch} order by made_at"
    )


def problem_of(mill: RunningMill, batch: int) -> str | None:
    told = provider_batches(mill, batch)
    return told[-1]["problem"] if told else None


def test_no_more_waits_at_a_provider_than_it_takes(mill: RunningMill) -> None:
    """One provider's room is told by the settings, the other's is found out."""
    mill.simulator.configure(batch_tokens=MOST_TOKENS, batch_s=0.2)
    batches = {name: mill.load(40, providers=[name], lane=Lane.BATCH) for name in (THRIFTY, OPENAI)}
    with lane(mill, OPENAI, THRIFTY):
        for batch in batches.values():
            assert mill.wait_done(batch) == {"succeeded": 40}
            assert mill.requests(batch) == 40
    mill.simulator.configure(batch_tokens=None, batch_s=0.0)
    known, found = (provider_batches(mill, batch) for batch in batches.values())
    assert {one["problem"] for one in known} == {None}
    assert max(one["tokens"] for one in known) <= MOST_TOKENS
    assert found[0]["problem"] == "token_limit_exceeded"
    assert found[-1]["problem"] is None


def test_gemini_keeps_to_a_schema_that_is_said_in_its_own_words(mill: RunningMill) -> None:
    """Its batch API makes something else of `responseJsonSchema`, and the simulator's so too."""
    score = {"type": ["integer", "null"], "minimum": 0}
    schema = {"type": "object", "properties": {"score": score}, "required": ["score"]}
    form = {"type": "json_schema", "json_schema": {"name": "rating", "schema": schema}}
    batch = mill.load(3, providers=[GEMINI], say="rate", lane=Lane.BATCH, response_format=form)
    with lane(mill, GEMINI):
        assert mill.wait_done(batch) == {"succeeded": 3}
    told = mill.sql(f"select validity from promptmill_results where batch_id = {batch}")
    assert told == [{"validity": "valid"}] * 3


def test_a_provider_batch_without_credit_or_with_a_bad_line_goes_in_again_without_it(
    mill: RunningMill,
) -> None:
    mill.simulator.add_fault("money", model="batches.validate", count=1)
    mill.simulator.add_fault("invalid_request", model="batches.validate", contains="number 3 bad")
    batch = mill.load(6, say="bad", lane=Lane.BATCH)
    with lane(mill, OPENAI):
        paused = "select kind from pauses where provider = 'openai'"
        wait_until(lambda: mill.sql(paused) == [{"kind": "money"}], "the key to be stopped")
        resume_provider(mill.database, mill.settings, OPENAI)
        assert mill.wait_done(batch) == {"succeeded": 5, "failed": 1}
    mill.simulator.clear_faults()
    assert mill.requests(batch) == 5, "nothing else was done"
    assert [one["jobs"] for one in provider_batches(mill, batch)] == [6, 6, 5]


def test_nothing_is_handed_in_by_a_key_that_was_paused_meanwhile(mill: RunningMill) -> None:
    mill.simulator.add_fault("rate", provider=Provider.GEMINI, model="batches.create")
    batch = mill.load(3, providers=[GEMINI], lane=Lane.BATCH)
    with lane(mill, GEMINI):
        wait_until(lambda: problem_of(mill, batch), "it to be refused")
        with mill.database.write() as connection:
            pause_provider(connection, provider=GEMINI, kind="user", reason="by hand")
        given_back = "its key was paused before it was handed in"
        wait_until(lambda: problem_of(mill, batch) == given_back, "its jobs to be given back")
        mill.simulator.clear_faults()
        resume_provider(mill.database, mill.settings, GEMINI)
        assert mill.wait_done(batch) == {"succeeded": 3}


def test_what_is_refused_as_a_whole_is_asked_live(mill: RunningMill) -> None:
    mill.simulator.add_fault("invalid_request", model="batches.create", count=1)
    batch = mill.load(3, providers=[ANTHROPIC], lane=Lane.BATCH)
    with lane(mill, ANTHROPIC):
        wait_until(lambda: mill.states(batch) == {"queued": 3}, "them to be hinted")
    cancel(mill.database, batch)
    assert mill.wait_done(batch) == {"cancelled": 3}


def test_a_batch_that_fails_alike_by_all_its_rows_pauses(mill: RunningMill) -> None:
    mill.simulator.add_fault("invalid_request", contains="all wrong")
    batch = mill.load(125, say="all wrong", lane=Lane.BATCH)
    paused = f"select paused_reason from batches where id = {batch} and state = 'paused'"
    with lane(mill, OPENAI):
        (row,) = wait_until(lambda: mill.sql(paused), "the batch to pause")
    mill.simulator.clear_faults()
    assert row["paused_reason"].startswith("20 prompts in a row failed with the same error")
    assert mill.states(batch)["failed"] < 125
    cancel(mill.database, batch)
    with lane(mill, OPENAI):
        mill.wait_done(batch)


def test_results_that_are_gone_are_unknown_after_some_looks(mill: RunningMill) -> None:
    """Of one provider they were deleted, another shows them no more, the third forgot the batch."""
    fault = mill.simulator.add_fault
    fault("model_not_found", provider=Provider.ANTHROPIC, model="batches.read", count=LOOKS)
    fault("forbidden", provider=Provider.GEMINI, model="batches.read", count=LOOKS)
    fault("model_not_found", provider=Provider.OPENAI, model="batches.retrieve", count=LOOKS)
    holding = mill.load(2, providers=[ANTHROPIC], lane=Lane.BATCH, on_unknown="hold")
    again = [mill.load(2, providers=[name], lane=Lane.BATCH) for name in (GEMINI, OPENAI)]
    with lane(mill, ANTHROPIC, GEMINI, OPENAI) as heard:
        assert mill.wait_done(holding) == {"quarantined": 2}
        for batch in again:
            assert mill.wait_done(batch) == {"succeeded": 2}
    for batch in (holding, *again):
        codes = mill.sql(f"select error_code from attempts where batch_id = {batch} and fence = 1")
        assert [one["error_code"] for one in codes] == ["batch_results_lost"] * 2
    outcomes = sorted(outcome for _, outcome in heard)
    assert outcomes == [AttemptOutcome.SUCCEEDED] * 4 + [AttemptOutcome.UNKNOWN] * 6


def test_what_another_key_handed_in_is_not_handed_in_again(mill: RunningMill) -> None:
    """A provider shows a batch to the account that made it, and to no other."""
    mill.simulator.add_fault("reset", model="batches.create", count=1)
    batch = mill.load(3, lane=Lane.BATCH)
    with lane(mill, OPENAI, settle_s=60.0):
        wait_until(lambda: problem_of(mill, batch), "its making to go unseen")
    anothers = "key batch_of_another_key"
    with lane(mill, OPENAI, key="sk-another", settle_s=0.0):
        wait_until(lambda: problem_of(mill, batch) == anothers, "it not to be found")
    with lane(mill, OPENAI):
        assert mill.wait_done(batch) == {"succeeded": 3}
    assert mill.requests(batch) == 3
    assert [one["tries"] for one in provider_batches(mill, batch)] == [1]


def test_what_another_key_handed_in_is_unknown_after_the_window(mill: RunningMill) -> None:
    mill.simulator.configure(batch_s=60.0)
    batch = mill.load(3, lane=Lane.BATCH, on_unknown="hold")
    with lane(mill, OPENAI):
        wait_until(
            lambda: [one["state"] for one in provider_batches(mill, batch)] == ["sent"],
            "it to be at its provider",
        )
    with lane(mill, OPENAI, key="sk-another", window_s=0.0):
        assert mill.wait_done(batch) == {"quarantined": 3}
    mill.simulator.configure(batch_s=0.0)


def test_a_cancelled_batch_whose_key_is_refused_is_given_up_after_the_window(
    mill: RunningMill,
) -> None:
    mill.simulator.configure(batch_s=60.0)
    batch = mill.load(3, lane=Lane.BATCH)
    with lane(mill, OPENAI):
        wait_until(
            lambda: [one["state"] for one in provider_batches(mill, batch)] == ["sent"],
            "it to be at its provider",
        )
    assert cancel(mill.database, batch) == 0, "it is not to be told yet what came of them"
    mill.simulator.configure(keys=frozenset({"sk-another"}))
    with lane(mill, OPENAI):
        wait_until(lambda: problem_of(mill, batch), "the key to be refused")
        assert mill.states(batch) == {"running": 3}
    with lane(mill, OPENAI, window_s=0.0):
        assert mill.wait_done(batch) == {"cancelled": 3}
    mill.simulator.configure(keys=frozenset(), batch_s=0.0)


def test_what_its_provider_never_ends_is_called_back_and_at_last_given_up(
    mill: RunningMill,
) -> None:
    """googleapis/python-genai#1482, #2974: jobs that stood at pending for more than a day."""
    mill.simulator.configure(batch_s=60.0)
    batch = mill.load(3, lane=Lane.BATCH, on_unknown="hold", providers=(GEMINI,))
    with lane(mill, GEMINI):
        wait_until(lambda: is_at_its_provider(mill, batch), "it to be at its provider")
        pass_days(mill, 2.5)
        wait_until(lambda: len(provider_batches(mill, batch)) == 2, "what was called back to go on")
        wait_until(lambda: is_at_its_provider(mill, batch), "the next one to be there")
        mill.simulator.add_fault("invalid_request", model="batches.cancel")
        pass_days(mill, 3.5)
        assert mill.wait_done(batch) == {"quarantined": 3}
    mill.simulator.clear_faults()
    mill.simulator.configure(batch_s=0.0)
    codes = mill.sql(f"select error_code from attempts where batch_id = {batch} order by fence")
    assert [one["error_code"] for one in codes] == ["batch_cancelled"] * 3 + [
        "batch_results_lost"
    ] * 3


def is_at_its_provider(mill: RunningMill, batch: int) -> bool:
    return [one["state"] for one in provider_batches(mill, batch)][-1:] == ["sent"]


def pass_days(mill: RunningMill, days: float) -> None:
    """Let what is at a provider have been there for so long."""
    with mill.database.write() as connection:
        connection.exec_driver_sql(
            f"update provider_batches set tried_at = now() - interval '{days} days'"
            " where ended_at is null"
        )


def test_the_cache_spares_jobs_of_the_lane_their_call(mill: RunningMill) -> None:
    first = mill.load(6, different=3, say="cached", lane=Lane.BATCH, cache_s=HOUR)
    with lane(mill, OPENAI):
        assert mill.wait_done(first) == {"succeeded": 6}
        second = mill.load(3, say="cached", lane=Lane.BATCH, cache_s=HOUR)
        assert mill.wait_done(second) == {"succeeded": 3}
    assert (mill.requests(first), mill.requests(second)) == (3, 0)
    assert not provider_batches(mill, second)
