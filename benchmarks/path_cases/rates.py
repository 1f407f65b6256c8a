"""How many jobs a second, where latency or the number of processes is what bounds them."""

from collections.abc import Iterator
from statistics import median
from typing import Any

from benchmarks.common.figures import at_least, judged
from benchmarks.path_cases.plan import Plan
from benchmarks.path_cases.runs import Load, run_bare, run_mill

_AT_ONCE, _LATENCY_S = 1000, 1.0


def ideal(plan: Plan) -> Iterator[dict[str, Any]]:
    """Measure one process with 1,000 in flight at 1 s, beside what that could bring at most."""
    load = Load("openai", _AT_ONCE, _LATENCY_S, plan.jobs_or(12_000))
    rounds = [(run_mill(load), run_bare(load)) for _ in range(plan.rounds)]
    ours, bare = zip(*rounds, strict=True)
    most = _AT_ONCE / _LATENCY_S
    figures = {
        "jobs_a_second": median(run.jobs_a_second for run in ours),
        "share_of_ideal": median(run.jobs_a_second for run in ours) / most,
        "bare_share_of_ideal": median(run.jobs_a_second for run in bare) / most,
        "cpu_us": median(run.cpu_us for run in ours),
        "cores_needed_for_ideal": median(run.cpu_us for run in ours) * most / 1e6,
        "simulator_busy": max(run.simulator_busy for run in ours),
    }
    yield judged("ideal", figures, {"share_of_ideal": at_least(0.8)})


def processes(plan: Plan) -> Iterator[dict[str, Any]]:
    """Measure two processes beside one: as fast as they can, and where latency is what bounds them.

    As fast as they can, two take both cores of a machine of two, and share them with the simulator.
    """
    yield _two_beside_one(Load("openai", 64, 0.0, plan.jobs_or(8000)), plan)
    yield _two_beside_one(Load("openai", 100, 0.2, plan.jobs_or(8000)), plan)


def _two_beside_one(load: Load, plan: Plan) -> dict[str, Any]:
    rounds = [(run_mill(load), run_mill(load, workers=2)) for _ in range(plan.rounds)]
    one, two = zip(*rounds, strict=True)
    figures = {
        "in_flight": load.in_flight,
        "latency_s": load.latency_s,
        "one_jobs_a_second": median(run.jobs_a_second for run in one),
        "two_jobs_a_second": median(run.jobs_a_second for run in two),
        "ratio": median(b.jobs_a_second / a.jobs_a_second for a, b in rounds),
        "cpu_us": median(run.cpu_us for run in one),
        "two_cpu_us": median(run.cpu_us for run in two),
        "simulator_busy": max(run.simulator_busy for run in two),
        "one_machine_busy": median(run.machine_busy for run in one),
        "machine_busy": median(run.machine_busy for run in two),
    }
    return judged("processes", figures, {"ratio": at_least(1.7)})
