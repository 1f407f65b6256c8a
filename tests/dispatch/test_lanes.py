"""Jobs go into the lane, and leave it when the deadline of their batch comes near."""

from promptmill.producer.submitting.lane_order import LaneOrder, change_lane
from promptmill.schema.lanes import LANE_AT, Lane
from tests.dispatch.mill import Mill

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
