"""What the limiter does with a limit: one JSON object a line, with a `case` key.

    ./run bench limits [CASE ...] [--seconds N]

An object has what was measured, what is demanded of it (`demand`), whether that was met (`ok`), and
the names of the figures that missed it (`missed`). Each case starts what it needs. `--seconds` is
for trying: the demands mean something at the usual lengths only. The exit status is 0 where all was
measured, whatever was missed, and 1 where a case broke.
"""

import argparse
import json
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

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
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--seconds", type=float, help="how long each case measures")
    chosen = parser.parse_args()
    unknown = [name for name in chosen.cases if name not in CASES]
    if unknown:
        parser.error(f"there is no case {unknown[0]!r}; there are: {', '.join(CASES)}")
    wanted = [name for name in CASES if not chosen.cases or name in chosen.cases]
    broken = [name for name in wanted if not run(name, Plan(chosen.seconds))]
    sys.exit(1 if broken else 0)


def run(name: str, plan: Plan) -> bool:
    """Run one case and print its objects. False: it could not be measured; the others still can."""
    try:
        for measured in CASES[name](plan):
            tell(measured)
    except Exception:  # noqa: BLE001  the outermost loop of a case
        sys.stderr.write(f"limits: {name} was not measured:\n{traceback.format_exc()}")
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
    sys.stderr.write(f"limits: {measured['case']}: {'; '.join(missed) or 'all demands met'}\n")


if __name__ == "__main__":
    main()
