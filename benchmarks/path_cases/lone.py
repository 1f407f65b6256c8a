"""What one worker process takes: CPU until it works, memory after many jobs."""

from collections.abc import Iterator
from statistics import median
from threading import Event
from time import monotonic
from typing import Any

from benchmarks.figures import at_most, judged
from benchmarks.path_cases.measured import cpu_s, rss_mb
from benchmarks.path_cases.mill import Mill
from benchmarks.path_cases.plan import Plan
from benchmarks.path_cases.stand_in import StandIn

_LOOK_S = 0.01
_WITHIN_S = 3600.0


def start(plan: Plan) -> Iterator[dict[str, Any]]:
    """Measure the CPU of a worker from its start to its first answer."""
    used = [_start_once() for _ in range(plan.rounds)]
    figures = {"cpu_s": median(used), "cpu_s_min": min(used), "cpu_s_max": max(used)}
    yield judged("start", figures, {"cpu_s": at_most(3.0)})


def memory(plan: Plan) -> Iterator[dict[str, Any]]:
    """Measure memory after a tenth of the jobs, and after all of them."""
    jobs = plan.jobs_or(200_000)
    with (
        StandIn(latency_s=0.0) as stand_in,
        Mill("openai", stand_in.url("openai"), jobs=jobs + 100, in_flight=200) as mill,
    ):
        mill.queue(jobs + 100)
        (pid,) = mill.start()
        _until(mill, jobs // 10)
        early = rss_mb(pid)
        _until(mill, jobs)
        late = rss_mb(pid)
    figures = {"jobs": jobs, "early_mb": early, "late_mb": late, "grown_mb": late - early}
    yield judged("memory", figures, {"grown_mb": at_most(50.0)})


def _start_once() -> float:
    with (
        StandIn(latency_s=0.0) as stand_in,
        Mill("openai", stand_in.url("openai"), jobs=1, in_flight=64) as mill,
    ):
        mill.queue(1)
        (pid,) = mill.start()
        _until(mill, 1)
        return cpu_s(pid)


def _until(mill: Mill, jobs: int) -> None:
    deadline = monotonic() + _WITHIN_S
    while mill.done() < jobs:
        if monotonic() > deadline or not mill.is_alive():
            raise TimeoutError(mill.log())
        Event().wait(_LOOK_S)
