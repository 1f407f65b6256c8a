"""What a job costs on its way through a worker: one JSON object a line, with a `case` key.

    ./run bench path [CASE ...] [--rounds N] [--jobs N] [--in-flight N]

All in: Celery, peek, booking, claim, call, settle and the grouped finish, against the simulator in
a process of its own. Beside it, by turns in the same run, the loop that people write. CPU time is
that of processes, from /proc. The exit status is 0 where all was measured, whatever was missed.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.common.command import asked_for, run_cases
from benchmarks.path_cases.added import added
from benchmarks.path_cases.cpu import anthropic, events, gemini, grid, openai
from benchmarks.path_cases.lone import start
from benchmarks.path_cases.plan import Plan
from benchmarks.path_cases.rates import ideal, processes
from benchmarks.path_cases.streamed import stream

CASES: dict[str, Callable[[Plan], Iterator[dict[str, Any]]]] = {
    "openai": openai,
    "anthropic": anthropic,
    "gemini": gemini,
    "stream": stream,
    "events": events,
    "ideal": ideal,
    "processes": processes,
    "added": added,
    "start": start,
    "grid": grid,
}


def main() -> None:
    """Run the cases that are asked for, all by default, in the order of `CASES`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (3)")
    parser.add_argument("--jobs", type=int, help="jobs of a run")
    parser.add_argument("--in-flight", type=int, help="only so many calls at once")
    asked = asked_for(parser, "case", list(CASES))
    sys.exit(
        0
        if run_cases("path", CASES, asked.chosen, Plan(asked.rounds, asked.jobs, asked.in_flight))
        else 1
    )


if __name__ == "__main__":
    main()
