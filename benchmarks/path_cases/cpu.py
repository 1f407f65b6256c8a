"""CPU of a job: ours all in, beside the loops that people write, by turns in one run.

Only ratios of CPU time are judged. They are taken round by round, and their median counts: another
machine, or a busy one, moves all of a round alike.
"""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.common.figures import Demand, at_most, judged
from benchmarks.path_cases.plan import Plan
from benchmarks.path_cases.runs import Load, Run, run_bare, run_mill, spread

_JOBS = {64: 5000, 200: 6000, 1000: 9000}
_LATENCY_S = {64: 0.0, 200: 0.2, 1000: 1.0}
"""at which so many are really in flight, about"""
_FLOOR = {64: 0.85, 200: 0.75, 1000: 0.25}


def openai(plan: Plan) -> Iterator[dict[str, Any]]:
    """Measure the OpenAI path beside `AsyncOpenAI` as it comes, by calls in flight."""
    for in_flight in plan.of(_JOBS):
        yield _beside_bare("openai", in_flight, _LATENCY_S[in_flight], plan, _FLOOR[in_flight])


def anthropic(plan: Plan) -> Iterator[dict[str, Any]]:
    """Measure the Anthropic path beside `AsyncAnthropic`."""
    yield _beside_bare("anthropic", 64, 0.0, plan, 0.85)


def gemini(plan: Plan) -> Iterator[dict[str, Any]]:
    """Measure the Gemini path beside `genai.Client`."""
    yield _beside_bare("gemini", 64, 0.0, plan, 0.85)


def grid(plan: Plan) -> Iterator[dict[str, Any]]:
    """Show how CPU goes with latency, by calls in flight; nothing is demanded."""
    for in_flight in plan.of(_JOBS):
        for latency_s in (0.0, 0.2, 1.0):
            yield _beside_bare("openai", in_flight, latency_s, plan, None, case="grid")


def events(plan: Plan) -> Iterator[dict[str, Any]]:
    """Measure what task events cost while somebody listens."""
    load = _load("openai", 64, 0.0, plan)
    rounds = [(run_mill(load), run_mill(load, listened_to=True)) for _ in range(plan.rounds)]
    quiet, heard = zip(*rounds, strict=True)
    figures = {
        "jobs": load.jobs,
        **spread("cpu_us", quiet),
        **spread("listened_to_cpu_us", heard),
        "ratio": _ratio(heard, quiet),
    }
    yield judged("events", figures, {"ratio": at_most(1.35)})


def _beside_bare(
    provider: str,
    in_flight: int,
    latency_s: float,
    plan: Plan,
    most: float | None,
    *,
    case: str | None = None,
) -> dict[str, Any]:
    load = _load(provider, in_flight, latency_s, plan)
    rounds = [(run_mill(load), run_bare(load)) for _ in range(plan.rounds)]
    ours, bare = zip(*rounds, strict=True)
    figures = {
        "in_flight": in_flight,
        "latency_s": latency_s,
        "jobs": load.jobs,
        **spread("cpu_us", ours),
        **spread("bare_cpu_us", bare),
        "redis_cpu_us": median(run.redis_us for run in ours),
        "jobs_a_second": median(run.jobs_a_second for run in ours),
        "bare_jobs_a_second": median(run.jobs_a_second for run in bare),
        "simulator_busy": max(run.simulator_busy for run in (*ours, *bare)),
        "ratio": _ratio(ours, bare),
        "ratios": [round(a.cpu_us / b.cpu_us, 3) for a, b in rounds],
    }
    demands: Mapping[str, Demand] = {} if most is None else {"ratio": at_most(most)}
    return judged(case or provider, figures, demands)


def _load(provider: str, in_flight: int, latency_s: float, plan: Plan) -> Load:
    return Load(provider, in_flight, latency_s, plan.jobs_or(_JOBS[in_flight]))


def _ratio(ours: Sequence[Run], theirs: Sequence[Run]) -> float:
    return median(a.cpu_us / b.cpu_us for a, b in zip(ours, theirs, strict=True))
