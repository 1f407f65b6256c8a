"""What one worker process takes until it works."""

from collections.abc import Iterator
from statistics import median
from typing import Any

from benchmarks.common.figures import at_most, judged
from benchmarks.path_cases.measured import cpu_s
from benchmarks.path_cases.mill import Mill
from benchmarks.path_cases.plan import Plan
from benchmarks.path_cases.stand_in import StandIn


def start(plan: Plan) -> Iterator[dict[str, Any]]:
    """Measure the CPU of a worker from its start to its first answer."""
    used = [_start_once() for _ in range(plan.rounds)]
    figures = {"cpu_s": median(used), "cpu_s_min": min(used), "cpu_s_max": max(used)}
    yield judged("start", figures, {"cpu_s": at_most(3.0)})


def _start_once() -> float:
    with (
        StandIn(latency_s=0.0) as stand_in,
        Mill("openai", stand_in.url("openai"), jobs=1, in_flight=64) as mill,
    ):
        mill.queue(1)
        (pid,) = mill.start()
        mill.wait_until(1)
        return cpu_s(pid)
