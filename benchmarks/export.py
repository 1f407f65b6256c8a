"""What an export of a large batch costs, beside a bare loop from the driver's cursor to a file.

    ./run bench export [ENGINE ...] [--jobs N] [--rounds N]

A database with a batch of a million that has ended is made first. Ours and the bare loop, each a
process of its own with its start, take turns. One JSON object a line for each engine and format:

    seconds, cpu_s, rss_mb    medians of ours; `spread` has the least and the most seconds
    bare_seconds, …           the same of the loop (JSON by `json.dumps`, CSV by `csv.writer`)
    wall_ratio, cpu_ratio     medians of ours over the loop's of the same round
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.common.child import PROMPTMILL, Cost, run
from benchmarks.common.command import asked_for, tell
from benchmarks.common.engines import ENGINES, empty_database, server_of
from benchmarks.common.figures import at_most, judged
from benchmarks.export_cases import bare
from benchmarks.status_cases.filling import Shape, fill

_BARE = {"jsonl": "jsonl", "csv": "csv", "openai-batch": "jsonl", "parquet": ""}
"""by our formats, the loop that is beside them"""
_WALL, _MEMORY_MB = 1.5, 150


def main() -> None:
    """Measure the engines that are asked for, both by default."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = asked_for(parser, "engine", ENGINES)
    for engine in asked.chosen:
        with server_of(engine) as server, empty_database(server) as database:
            fill(database, Shape.DONE, jobs=asked.jobs)
            url = database.url.render_as_string(hide_password=False)
            for measured in measure(engine, url, asked.rounds):
                tell(measured)


def measure(engine: str, url: str, rounds: int) -> Iterator[dict[str, Any]]:
    """Yield an object for each format."""
    with tempfile.TemporaryDirectory(prefix="pm-") as folder:
        found = {"PROMPTMILL_DATABASE_URL": url, "PROMPTMILL_STATE_DIR": folder}
        for form, loop in _BARE.items():
            ours, theirs = [], []
            for _ in range(rounds):
                out = f"{folder}/ours"
                command = [*PROMPTMILL, "export", "1", "-o", out, "--format", form]
                ours.append(run(command, found))
                if loop:
                    command = [sys.executable, bare.__file__, url, loop, f"{folder}/bare"]
                    theirs.append(run(command, {}))
            yield told(f"{form} on {engine}", ours, theirs)


def told(case: str, ours: list[Cost], theirs: list[Cost]) -> dict[str, Any]:
    """Make the object of one case."""
    figures: dict[str, Any] = {
        **_medians("", ours),
        "spread": [round(pick(cost.seconds for cost in ours), 2) for pick in (min, max)],
    }
    demands = {"rss_mb": at_most(_MEMORY_MB)}
    if theirs:
        pairs = list(zip(ours, theirs, strict=True))
        figures |= _medians("bare_", theirs)
        figures["wall_ratio"] = median(our.seconds / their.seconds for our, their in pairs)
        figures["cpu_ratio"] = median(our.cpu_s / their.cpu_s for our, their in pairs)
        demands["wall_ratio"] = at_most(_WALL)
    return judged(case, figures, demands)


def _medians(prefix: str, costs: list[Cost]) -> dict[str, float]:
    return {
        f"{prefix}seconds": median(cost.seconds for cost in costs),
        f"{prefix}cpu_s": median(cost.cpu_s for cost in costs),
        f"{prefix}rss_mb": median(cost.rss_mb for cost in costs),
    }


if __name__ == "__main__":
    main()
