"""A program as a process of its own, and what it cost.

This file is also the process between: the most memory of a program counts from its fork, so it has
to come from a small one.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import NamedTuple

PROMPTMILL = (sys.executable, "-m", "promptmill.producer")


class Cost(NamedTuple):
    """Of one process, from its start to its end."""

    seconds: float
    cpu_s: float
    rss_mb: float
    """the most that it held in memory"""


def run(command: Sequence[str], more: Mapping[str, str]) -> Cost:
    """Run *command* with *more* in its environment. Raises RuntimeError where it fails."""
    done = subprocess.run(
        [sys.executable, "-S", __file__, *command],
        env={**os.environ, **more},  # noqa: TID251  handed on as it is
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        msg = f"{command} failed: {done.stderr}"
        raise RuntimeError(msg)
    return Cost(*json.loads(done.stdout))


def main() -> None:
    """Run what is named and tell its cost."""
    began = monotonic()
    child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    code = os.waitstatus_to_exitcode(status)
    child.returncode = code
    size = used.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    cost = Cost(monotonic() - began, used.ru_utime + used.ru_stime, size)
    sys.stdout.write(json.dumps(cost))
    sys.exit(code)


if __name__ == "__main__":
    main()
