"""half_limit: the true limit is half of what is configured, and no header says so.

The simulator has a bucket of one second and says with each 429 when to come back. Measured from
the first call on: finding the true limit is part of it.
"""

from collections.abc import Iterator
from typing import Any

from benchmarks.common.figures import at_least, at_most, judged
from benchmarks.limits_cases.callers import CONFIGURED, call_together, tokens_of
from benchmarks.limits_cases.plan import Plan
from promptmill.simulator import Limits, Shape, Simulator, SimulatorConfig

TRUE = CONFIGURED / 2


def half_limit(plan: Plan) -> Iterator[dict[str, Any]]:
    """Count refusals, and what came through of what could have."""
    seconds = plan.seconds_or(90.0)
    config = SimulatorConfig(
        latency_s=0.3,
        answer_tokens=1,
        limit_headers=False,
        limits=Limits(tpm=TRUE, shape=Shape.PER_SECOND),
    )
    with Simulator(config) as simulator:
        rows = call_together(simulator, seconds)
    end = rows[0].received_at + seconds
    admitted = [row for row in rows if row.status == 200 and row.received_at < end]
    refused = sum(row.status == 429 for row in rows)
    figures = {
        "seconds": seconds,
        "goodput": sum(map(tokens_of, admitted)) / (TRUE / 60 * seconds),
        "answered": len(admitted),
        "refused": refused,
        "refused_each_answered": refused / max(1, len(admitted)),
    }
    demands = {"goodput": at_least(0.97), "refused_each_answered": at_most(0.01)}
    yield judged("half_limit", figures, demands)
