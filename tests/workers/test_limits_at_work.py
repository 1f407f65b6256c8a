"""Limits that change, run out and are forgotten while real workers draw on them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from promptmill.schema.live_limits import set_limit
from promptmill.schema.pauses import Pause, pauses_now
from promptmill.simulator import Simulator
from tests.services.running_mill import MODELS, OPENAI, RunningMill
from tests.services.valkey import Valkey
from tests.services.waiting import wait_until
from tests.services.world import assert_world

A_DAY = 30


def zone_at_its_noon() -> str:
    """Name a zone whose day does not end while a test runs."""
    return "UTC" if 2 <= datetime.now(UTC).hour < 22 else "Etc/GMT-12"


def day_limit(**more: str) -> dict[str, str]:
    return {
        "PROVIDERS__OPENAI__LIMITS__RPD": str(A_DAY),
        "PROVIDERS__OPENAI__DAY_STARTS": zone_at_its_noon(),
        **more,
    }


def pauses_of(mill: RunningMill) -> list[Pause]:
    with mill.database.read() as connection:
        return pauses_now(connection)


def test_a_limit_that_is_raised_live_holds_with_the_next_beat(
    tmp_path: Path, valkey: Valkey, simulator: Simulator
) -> None:
    env = {"PROVIDERS__OPENAI__LIMITS__RPM": "60"}  # a second a job: four minutes
    with RunningMill(tmp_path, valkey, simulator, env=env) as mill:
        mill.start_dispatcher()
        mill.start_worker(OPENAI)
        batch = mill.load(240, say="slow")
        wait_until(lambda: mill.states(batch).get("succeeded", 0) >= 1, "the first answer")
        with mill.database.write() as connection:
            set_limit(connection, provider=OPENAI, model="", dimension="rpm", ceiling=600_000)
        mill.wait_done(batch)
        assert_world(mill)


def test_a_day_that_is_used_up_pauses_its_model_until_the_reset(
    tmp_path: Path, valkey: Valkey, simulator: Simulator
) -> None:
    with RunningMill(tmp_path, valkey, simulator, env=day_limit()) as mill:
        mill.start_dispatcher()
        mill.start_worker(OPENAI)
        batch = mill.load(A_DAY + 10, say="today")
        wait_until(lambda: bool(pauses_of(mill)), "the pause")
        wait_until(lambda: mill.states(batch).get("succeeded") == A_DAY, "the day's answers")
        (pause,) = pauses_of(mill)
        assert (pause.kind, pause.model) == ("daily", MODELS[OPENAI])
        assert pause.until_at is not None
        assert timedelta() < pause.until_at - datetime.now(UTC) <= timedelta(days=1)
        assert len(mill.simulator.bill()) == A_DAY


def test_an_emptied_redis_does_not_forget_what_the_day_had(
    tmp_path: Path, valkey: Valkey, simulator: Simulator
) -> None:
    env = day_limit(PROVIDERS__OPENAI__LIMITS__RPM="1200")  # 20 a second
    with RunningMill(tmp_path, valkey, simulator, env=env) as mill:
        mill.start_dispatcher()
        mill.start_worker(OPENAI)
        batch = mill.load(A_DAY + 10, say="today")
        wait_until(lambda: mill.states(batch).get("succeeded", 0) >= A_DAY // 2, "half the day")
        valkey.client.flushall()

        def day_is_over() -> bool:
            return bool(pauses_of(mill)) and not mill.states(batch).keys() & {"queued", "running"}

        wait_until(day_is_over, "the day's answers")
        # Who was claimed at that moment is counted as called, and books once more: some on a quiet
        # machine, more on a busy one.
        assert A_DAY - 10 <= len(mill.simulator.bill()) <= A_DAY
