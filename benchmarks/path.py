"""What a job costs on its way through a worker: one JSON object a line, with a `case` key.

    ./run bench path [CASE ...] [--rounds N] [--jobs N] [--in-flight N]

All in: Celery, peek, booking, claim, call, settle and the grouped finish, against the simulator in
a process of its own. Beside it, by turns in the same run, the loop that people write. CPU time is
that of processes, from /proc. The exit status is 0 where all was measured, whatever was missed.
"""

import argparse
import json
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.path_cases.added import added
from benchmarks.path_cases.cpu import anthropic, events, flexllm, gemini, grid, openai
from benchmarks.path_cases.lone import memory, start
from benchmarks.path_cases.plan import Plan
from benchmarks.path_cases.rates import ideal, processes

CASES: dict[str, Callable[[Plan], Iterator[dict[str, Any]]]] = {
    "openai": openai,
    "anthropic": anthropic,
    "gemini": gemini,
    "events": events,
    "flexllm": flexllm,
    "ideal": ideal,
    "processes": processes,
    "added": added,
    "start": start,
    "memory": memory,
    "grid": grid,
}


def main() -> None:
    """Run the cases that are asked for, all by default, in the order of `CASES`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (3)")
    parser.add_argument("--jobs", type=int, help="jobs of a run")
    parser.add_argument("--in-flight", type=int, help="only so many calls at once")
    chosen = parser.parse_args()
    unknown = [name for name in chosen.cases if name not in CASES]
    if unknown:
        parser.error(f"there is no case {unknown[0]!r}; there are: {', '.join(CASES)}")
    wanted = [name for name in CASES if not chosen.cases or name in chosen.cases]
    plan = Plan(chosen.rounds, chosen.jobs, chosen.in_flight)
    broken = [name for name in wanted if not run(name, plan)]
    sys.exit(1 if broken else 0)


def run(name: str, plan: Plan) -> bool:
    """Run one case and print its objects. False: it could not be measured; the others still can."""
    try:
        for measured in CASES[name](plan):
            tell(measured)
    except Exception:  # noqa: BLE001  the outermost loop of a case
        sys.stderr.write(f"path: {name} was not measured:\n{traceback.format_exc()}")
        return False
    return True


def tell(measured: dict[str, Any]) -> None:
    """Print the object, and a word for people beside it."""
    sys.stdout.write(json.dumps(measured) + "\n")
    sys.stdout.flush()
    missed = [
        f"{name} is {measured[name]}, demanded {measured['demand'][name]}"
        for name in measured["missed"]
    ]
    sys.stderr.write(f"path: {measured['case']}: {'; '.join(missed) or 'all demands met'}\n")


if __name__ == "__main__":
    main()
