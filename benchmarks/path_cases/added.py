"""What a job waits in a worker that is half loaded: from its hint to its request.

Hints are published at an even pace. A job is due when its hint is published, and sent when the
simulator has read its request.
"""

from collections.abc import Iterator
from threading import Event
from time import monotonic
from typing import Any

import httpx2

from benchmarks.common.figures import at_most, judged, percentile
from benchmarks.path_cases.mill import Mill
from benchmarks.path_cases.plan import Plan
from benchmarks.path_cases.stand_in import StandIn

_LATENCY_S, _IN_FLIGHT = 0.2, 64
_HALF = _IN_FLIGHT / _LATENCY_S / 2
"""jobs a second"""
_STEP_S = 0.05
_WITHIN_S = 120.0


def added(plan: Plan) -> Iterator[dict[str, Any]]:
    """Measure the wait of each job."""
    jobs = plan.jobs_or(4000)
    warm = jobs // 5
    with (
        StandIn(latency_s=_LATENCY_S) as stand_in,
        Mill("openai", stand_in.url("openai"), jobs=jobs + warm, in_flight=_IN_FLIGHT) as mill,
    ):
        mill.start()
        due = _publish(mill, jobs + warm)
        _wait(mill, jobs + warm)
        sent = _sent(stand_in.url("openai"))
    waits = sorted((sent[job] - at) * 1000 for job, at in list(due.items())[warm:])
    figures = {
        "jobs": jobs,
        "jobs_a_second": _HALF,
        "p50_ms": percentile(waits, 0.5),
        "p99_ms": percentile(waits, 0.99),
        "most_ms": waits[-1],
    }
    yield judged("added", figures, {"p50_ms": at_most(30), "p99_ms": at_most(120)})


def _publish(mill: Mill, jobs: int) -> dict[int, float]:
    """Publish hints at an even pace, once the worker works; return when each was."""
    due: dict[int, float] = {}
    first = mill.queue(1)
    _wait(mill, 1)
    due |= dict.fromkeys(first, monotonic())
    begin = monotonic()
    while len(due) < jobs:
        wanted = min(jobs, int((monotonic() - begin) * _HALF))
        if wanted > len(due):
            at = monotonic()
            due |= dict.fromkeys(mill.queue(wanted - len(due)), at)
        Event().wait(_STEP_S)
    return due


def _wait(mill: Mill, jobs: int) -> None:
    deadline = monotonic() + _WITHIN_S
    while mill.done() < jobs:
        if monotonic() > deadline or not mill.is_alive():
            raise TimeoutError(mill.log())
        Event().wait(_STEP_S)


def _sent(url: str) -> dict[int, float]:
    """Read from the simulator's bill when it had each request: job to time."""
    root = url.removesuffix("/v1")
    rows = httpx2.get(f"{root}/_simulator/bill?limit=100000").json()
    return {int(row["client_request_id"].split("-")[1]): row["received_at"] for row in rows}
