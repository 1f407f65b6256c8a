"""What the limiter does with a limit: one JSON object a line, with a `case` key.

    ./run bench limits [CASE ...] [--seconds N]

An object has what was measured, what is demanded of it (`demand`), whether that was met (`ok`), and
the names of the figures that missed it (`missed`). Each case starts what it needs. `--seconds` is
for trying: the demands mean something at the usual lengths only. The exit status is 0 where all was
measured, whatever was missed, and 1 where a case broke.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import structlog

from benchmarks.common.command import asked_for, run_cases
from benchmarks.limits_cases.contention import contention
from benchmarks.limits_cases.cost import cost
from benchmarks.limits_cases.half_limit import half_limit
from benchmarks.limits_cases.outage import outage
from benchmarks.limits_cases.overestimate import overestimate
from benchmarks.limits_cases.plan import Plan
from benchmarks.limits_cases.priority import priority
from benchmarks.limits_cases.prompts import told, untold
from benchmarks.limits_cases.restart import restart
from benchmarks.limits_cases.window import window

CASES: dict[str, Callable[[Plan], Iterator[dict[str, Any]]]] = {
    "contention": contention,
    "overestimate": overestimate,
    "half_limit": half_limit,
    "outage": outage,
    "priority": priority,
    "cost": cost,
    "told": told,
    "untold": untold,
    "window": window,
    "restart": restart,
}


def main() -> None:
    """Run the cases that are asked for, all by default, in the order of `CASES`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, help="how long each case measures")
    asked = asked_for(parser, "case", list(CASES))
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # stdout: JSON
    sys.exit(0 if run_cases("limits", CASES, asked.chosen, Plan(asked.seconds)) else 1)


if __name__ == "__main__":
    main()
