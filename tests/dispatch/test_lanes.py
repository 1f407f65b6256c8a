"""Jobs go into the lane, and leave it when the deadline of their batch comes near."""

from promptmill.producer.submitting.lane_order import LaneOrder, change_lane
from promptmill.schema.lanes import LANE_AT, Lane
from promptmill.schema.live_limits import set_limit
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
    in_lane = mill.scene.sql(
        f"select position from jobs where run_at = {LANE_AT} and batch_id = {batch}"
        " order by position"
    )
    assert [row.position for row in in_lane] == list(range(carried + 1, 51))
