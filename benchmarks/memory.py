"""Whether a worker keeps its memory: what is resident after 20,000 jobs, and after 200,000.

    ./run bench memory [--jobs N]

One JSON object: `early_mb` after a tenth of the jobs, `late_mb` after all, `grown_mb` between. What
`submit`, `export` and Redis take of a million is measured by `ingest`, `export` and `dispatch`.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.common.command import tell
from benchmarks.common.figures import at_most, judged
from benchmarks.path_cases.measured import rss_mb
from benchmarks.path_cases.mill import Mill
from benchmarks.path_cases.stand_in import StandIn

_IN_FLIGHT = 200
_MORE = 100
"""jobs that are still to do at the last look, so that the worker is at work then too"""


def main() -> None:
    """Measure as many jobs as are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=200_000, help="in all (200000)")
    jobs = parser.parse_args().jobs
    with (
        StandIn(latency_s=0.0) as stand_in,
        Mill("openai", stand_in.url("openai"), jobs=jobs + _MORE, in_flight=_IN_FLIGHT) as mill,
    ):
        mill.queue(jobs + _MORE)
        (pid,) = mill.start()
        mill.wait_until(jobs // 10)
        early = rss_mb(pid)
        mill.wait_until(jobs)
        late = rss_mb(pid)
    figures = {"jobs": jobs, "early_mb": early, "late_mb": late, "grown_mb": late - early}
    tell(judged("memory", figures, {"grown_mb": at_most(50.0)}))


if __name__ == "__main__":
    main()
