"""Two keys of one provider, as a pool: by weight, each with its limits, and one for the other."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from promptmill.schema.pauses import pauses_now
from promptmill.simulator import Simulator, SimulatorConfig
from tests.services.running_mill import RunningMill
from tests.services.valkey import Valkey
from tests.services.world import assert_world

POOL, FIRST, SECOND = "both", "first", "second"
TIGHT, EVERY_S = "gpt-4o", 10
"""a model of which the first key may be asked once in so many seconds"""


@pytest.fixture
def mill(run_folder: Path, tmp_path: Path) -> Iterator[RunningMill]:
    """A mill with two keys at one provider, and a worker for both."""
    members = f'{{"{FIRST}": 3, "{SECOND}": 1}}'
    with (
        Valkey(Path(tempfile.mkdtemp(dir=run_folder))) as valkey,
        Simulator(SimulatorConfig(latency_s=0.02)) as simulator,
        RunningMill(
            tmp_path,
            valkey,
            simulator,
            vendors=[FIRST, SECOND],
            env={
                f"POOLS__{POOL.upper()}__MEMBERS": members,
                f"PROVIDERS__{FIRST.upper()}__MODELS__{TIGHT.upper()}__RPM": str(60 // EVERY_S),
                "WORKER__CONCURRENCY": "20",
            },
        ) as mill,
    ):
        mill.start_worker(FIRST, SECOND)
        mill.start_dispatcher()
        yield mill


def answered(mill: RunningMill, batch: int) -> dict[str, int]:
    rows = mill.sql(
        "select provider, count(*) as n from promptmill_results"
        f" where batch_id = {batch} group by 1"
    )
    return {row["provider"]: row["n"] for row in rows}


def seconds_of(mill: RunningMill, key: str, model: str) -> float:
    """Tell how long *key* was asked for *model*, from the first request to the last."""
    rows = (row for row in mill.simulator.bill() if (row.key, row.model) == (key, model))
    times = [row.received_at for row in rows]
    return max(times) - min(times) if times else 0.0


def test_two_keys_share_by_weight_and_each_stands_in_for_the_other(mill: RunningMill) -> None:
    even = mill.load(200, providers=[POOL])
    assert mill.wait_done(even) == {"succeeded": 200}
    assert answered(mill, even)[FIRST] == pytest.approx(150, abs=15)

    again = mill.load(8, providers=[POOL], cache_s=3600, different=1)
    assert mill.wait_done(again) == {"succeeded": 8}
    assert mill.requests(again) == 1, "the answer is the same, whichever key was asked"
    assert len(answered(mill, again)) == 1, "and told to be of the key that was"

    tight = mill.load(200, providers=[POOL], model=TIGHT)
    assert mill.wait_done(tight) == {"succeeded": 200}, "by weight it would take 25 minutes"
    allowed = 1 + seconds_of(mill, mill.key(FIRST), TIGHT) / EVERY_S
    assert answered(mill, tight).get(FIRST, 0) <= allowed + 1, "the other has got its share"

    mill.simulator.configure(keys=(mill.key(SECOND),))
    refused = mill.load(60, providers=[POOL])
    assert mill.wait_done(refused) == {"succeeded": 60}
    assert answered(mill, refused) == {SECOND: 60}
    with mill.database.read() as connection:
        assert [one.provider for one in pauses_now(connection)] == [FIRST]

    paid = [row for row in mill.simulator.bill() if row.billed]
    assert len(paid) == 200 + 1 + 200 + 60, "nothing was paid twice"
    rows = mill.sql("select provider, count(*) as n from promptmill_attempts group by 1")
    assert {row["provider"] for row in rows} == {FIRST, SECOND}, "who was asked is on each attempt"
    assert_world(mill)
