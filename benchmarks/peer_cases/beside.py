"""CPU of a job: ours all in, beside a peer, by turns in one run."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.common.figures import judged
from benchmarks.path_cases.plan import Plan
from benchmarks.path_cases.runs import Load, run_mill, run_program, spread
from benchmarks.peer_cases.environment import make_environment
from benchmarks.peer_cases.roster import Peer

_IN_FLIGHT = 64
_JOBS = 3000


def beside(peer: Peer) -> Callable[[Plan], Iterator[dict[str, Any]]]:
    """Make the case of *peer*."""

    def case(plan: Plan) -> Iterator[dict[str, Any]]:
        python, why_not = _python_of(peer)
        if python is None:
            yield judged(peer.name, {}, {}, skipped=why_not)
        else:
            yield _measure(peer, python, plan)

    return case


def _python_of(peer: Peer) -> tuple[Path | None, str]:
    if peer.requirement is None:
        return Path(sys.executable), ""
    return make_environment(peer.requirement)


def _measure(peer: Peer, python: Path, plan: Plan) -> dict[str, Any]:
    load = Load("openai", plan.in_flight or _IN_FLIGHT, 0.0, plan.jobs_or(_JOBS))
    command = [str(python), *peer.program]
    rounds = [(run_mill(load), run_program(command, load)) for _ in range(plan.rounds)]
    ours, theirs = zip(*rounds, strict=True)
    figures = {
        "in_flight": load.in_flight,
        "jobs": load.jobs,
        **spread("cpu_us", ours),
        **spread("peer_cpu_us", theirs),
        "jobs_a_second": median(run.jobs_a_second for run in ours),
        "peer_jobs_a_second": median(run.jobs_a_second for run in theirs),
        "ratio": median(a.cpu_us / b.cpu_us for a, b in rounds),
    }
    demands = {} if peer.demand is None else {"ratio": peer.demand}
    return judged(peer.name, figures, demands, peer=peer.requirement or "of promptmill's own")
