"""kill -9 of a worker at each step of the way of one prompt: see `steps`.

Then one more worker goes on with what all of them left.
"""

import pytest

from tests.crash.conftest import MakeMill
from tests.crash.steps import NAMES, PAID_IN_VAIN, assert_cost, broken_at_every_step
from tests.services.world import assert_world


@pytest.mark.timeout(240)
def test_a_worker_killed_at_any_step_costs_no_job_and_one_request_at_most(
    make_mill: MakeMill, subtests: pytest.Subtests
) -> None:
    mill = make_mill(vendors=NAMES, WORKER__CONCURRENCY="1")
    mill.start_dispatcher()
    batches = broken_at_every_step(mill, on_unknown="retry")
    mill.start_worker(*NAMES)
    for step, batch in batches.items():
        with subtests.test(step.name):
            assert_cost(mill, step, batch, on_unknown="retry")
    assert_world(mill, unbooked=PAID_IN_VAIN)


@pytest.mark.timeout(240)
@pytest.mark.long
def test_with_hold_no_request_follows_one_whose_outcome_is_unknown(
    make_mill: MakeMill, postgres_url: str, subtests: pytest.Subtests
) -> None:
    mill = make_mill(vendors=NAMES, database_url=postgres_url, WORKER__CONCURRENCY="1")
    mill.start_dispatcher()
    batches = broken_at_every_step(mill, on_unknown="hold")
    mill.start_worker(*NAMES)
    for step, batch in batches.items():
        with subtests.test(step.name):
            assert_cost(mill, step, batch, on_unknown="hold")
    assert_world(mill, unbooked=PAID_IN_VAIN)
