"""Jobs go into the lane, and leave it when the deadline of their batch comes near."""

import json

from promptmill.producer.submitting.lane_order import LaneOrder, change_lane
from promptmill.schema.lanes import LANE_AT, Lane
from promptmill.schema.live_limits import set_limit
from promptmill.schema.new_job import NewJob
from tests.dispatch.mill import Mill
from tests.schema.scene import MODEL, PROVIDER

FAR, NEAR = LaneOrder(Lane.BATCH, 3 * 86_400), LaneOrder(Lane.BATCH, 60)


def test_a_batch_that_gets_another_deadline_may_leave_the_lane_again(mill: Mill) -> None:
    batch = mill.scene.load(50, lane=NEAR.lane, deadline_s=NEAR.deadline_s)
    dispatcher = mill.dispatcher()
    in_lane = []
    for order in (NEAR, FAR, NEAR):
        change_lane(mill.database, batch, order)
        dispatcher.round()
        (row,) = mill.scene.sql(f"select count(*) as n from jobs where run_at = {LANE_AT}")
        in_lane.append(row.n)
    assert in_lane == [0, 40, 0]


def test_by_auto_as_many_go_live_as_the_limit_of_tokens_carries_the_oldest_first(
    mill: Mill,
) -> None:
    """Each of them takes 1,003 tokens: its own three, and an answer of a usual length."""
    minutes, carried = 300, 20
    tokens = 1003 * (carried - 0.5) / minutes
    with mill.database.write() as connection:
        for dimension, ceiling in (("rpm", 60_000), ("tpm", tokens)):
            set_limit(
                connection, provider=PROVIDER, model=MODEL, dimension=dimension, ceiling=ceiling
            )
    batch = mill.scene.load(50, lane=Lane.AUTO, deadline_s=minutes * 60)
    mill.dispatcher().round()
    assert in_lane(mill, batch) == list(range(carried + 1, 51))


def test_where_not_all_can_go_live_the_dearest_take_the_lane_before_any_is_hinted(
    mill: Mill,
) -> None:
    """In the time that is left the limit has the tokens of all the short ones, and a half more."""
    minutes, short, long = 300, 50, 900
    tokens = 30 * short * 1.5 / minutes
    with mill.database.write() as connection:
        set_limit(connection, provider=PROVIDER, model=MODEL, dimension="tpm", ceiling=tokens)
    jobs = [job(n, allowed=short if n % 2 else long) for n in range(1, 61)]
    batch = mill.scene.load(jobs=jobs, lane=Lane.AUTO, deadline_s=minutes * 60)
    dispatcher = mill.dispatcher()
    assert dispatcher.round().hints == 0, "they are looked at first"
    assert in_lane(mill, batch) == list(range(2, 61, 2))
    for _ in range(3):
        dispatcher.round()
    assert in_lane(mill, batch) == list(range(2, 61, 2)), "once"
    assert len(mill.take()) == 10


def job(n: int, *, allowed: int) -> NewJob:
    body = {"messages": [{"role": "user", "content": "2 + 2"}], "max_tokens": allowed}
    return NewJob(n, f"row-{n}", PROVIDER, MODEL, json.dumps(body), f"{n:064x}")


def in_lane(mill: Mill, batch: int) -> list[int]:
    """List the lines of a batch whose jobs wait for a provider batch."""
    rows = mill.scene.sql(
        f"select position from jobs where run_at = {LANE_AT} and batch_id = {batch}"
        " order by position"
    )
    return [row.position for row in rows]
