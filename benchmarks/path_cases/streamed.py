"""CPU of a job whose answer is streamed, beside the same answer that comes whole, by turns.

What a worker does for an event, above the reading of the socket, is small; the reading is what
counts. So there is an object for events that come all at once, and one for events that come one by
one, as providers send them, where each wakes the worker.
"""

from collections.abc import Iterator
from statistics import median
from typing import Any

from benchmarks.common.figures import at_most, judged
from benchmarks.path_cases.plan import Plan
from benchmarks.path_cases.runs import Load, run_mill

_EVENTS = 50
_JOBS = {0.0: 3000, 0.02: 1500}
"""by seconds from event to event"""
_IN_FLIGHT = 64


def stream(plan: Plan) -> Iterator[dict[str, Any]]:
    """Measure answers of 50 events beside the same ones whole, which take as long."""
    for interval_s, usual in _JOBS.items():
        jobs = plan.jobs_or(usual)
        whole = Load("openai", _IN_FLIGHT, interval_s * _EVENTS, jobs, _EVENTS)
        streamed = Load("openai", _IN_FLIGHT, 0.0, jobs, _EVENTS, interval_s)
        rounds = [(run_mill(streamed), run_mill(whole)) for _ in range(plan.rounds)]
        figures = {
            "events": _EVENTS,
            "interval_s": interval_s,
            "jobs": jobs,
            "cpu_us": median(one.cpu_us for one, _ in rounds),
            "whole_cpu_us": median(one.cpu_us for _, one in rounds),
            "simulator_busy": max(one.simulator_busy for one, _ in rounds),
            "ratio": median(a.cpu_us / b.cpu_us for a, b in rounds),
            "ratios": [round(a.cpu_us / b.cpu_us, 3) for a, b in rounds],
        }
        yield judged("stream", figures, {"ratio": at_most(1.3)})
