"""What may happen to jobs that go by the providers' batch APIs."""

import signal
from typing import Any

from promptmill.schema.lanes import Lane
from promptmill.simulator import Provider
from tests.chaos.catalogue import Fault
from tests.chaos.stage import Stage
from tests.services.running_mill import FAST_LANE, MODELS
from tests.services.world import assert_world


def handed_in(stage: Stage) -> None:
    """Of each provider's rows 1 % is dropped and 1 % in error, one of its batches expires, the
    reply to one is lost; and the first worker is killed between a batch and its commit.
    """
    settings: Any = FAST_LANE
    mill = stage.mill(latency_s=0.0, **settings)
    jobs = stage.size(100, 1000)
    for name in MODELS:
        provider, few = Provider(name), max(1, jobs // 100)
        mill.simulator.add_fault("dropped", provider=provider, every=50, count=few)
        mill.simulator.add_fault("server_error", provider=provider, every=50, count=few)
        mill.simulator.add_fault("expired", provider=provider, model="batches.run", count=1)
    batches = {name: mill.load(jobs, providers=[name], lane=Lane.BATCH) for name in MODELS}
    doomed = mill.start_worker(app="tests.lane.doomed_app", env={"MINE": "create"})
    assert doomed.wait(60) == -signal.SIGKILL
    for name in MODELS:
        mill.simulator.add_fault("reset", provider=Provider(name), model="batches.create", count=1)
    mill.start_worker()
    for batch in batches.values():
        assert mill.wait_done(batch, 120) == {"succeeded": jobs}
    stage.measure(mill)
    assert_world(mill)
    assert all(row.half_price for row in mill.simulator.bill()), "some were asked live"
    for name in MODELS:
        told = mill.sql(
            "select error_code, count(*) as n from attempts"
            f" where provider = '{name}' and error_code like 'batch_%' group by error_code"
        )
        found = {row["error_code"]: row["n"] for row in told}
        assert found["batch_expired"] >= jobs // 2, found
        assert found["batch_row_missing"] == max(1, jobs // 100), found


FAULTS = (
    Fault(
        "R56",
        "lane",
        "batch APIs: rows dropped, in error, expired; kill -9 before the commit",
        handed_in,
    ),
)
