"""CPU of what starts often: one JSON object a line.

    ./run bench start [--rounds N]

`help`: `promptmill --help`, beside a Python that does nothing. `start`: a worker process from its
start to its first answer. The least of the rounds counts, for other work only adds.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.common.command import tell
from benchmarks.common.figures import at_most, judged
from benchmarks.path_cases.lone import start
from benchmarks.path_cases.plan import Plan


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (3)")
    rounds = parser.parse_args().rounds
    for measured in (help_of(rounds), *start(Plan(rounds, None, None))):
        tell(measured)


def help_of(rounds: int) -> dict[str, Any]:
    """Measure `promptmill --help`."""
    figures = {
        "cpu_s": min(_cpu_s("-m", "promptmill.producer", "--help") for _ in range(rounds)),
        "python_cpu_s": min(_cpu_s("-c", "") for _ in range(rounds)),
    }
    return judged("help", figures, {"cpu_s": at_most(0.25)})


def _cpu_s(*words: str) -> float:
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
