"""How fast hints are sent, and what Redis holds while a million jobs are there.

    ./run bench dispatch [ENGINE ...] [--jobs N] [--hints N]

The feeder as `promptmill dispatch` runs it, in this process: the look, the moves to queued and the
hints, on a database of three models with N pending jobs. `feed`: it may queue as many as it likes,
and its own CPU time counts (PostgreSQL's is its own). `memory`: what Redis holds above an empty one
when all queues are as deep as the settings ever make them.
One JSON object a line. The exit status is 0 whatever was missed.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from time import monotonic, process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.common.command import asked_for, tell
from benchmarks.common.engines import ENGINES, empty_database, server_of
from benchmarks.common.figures import at_least, at_most, judged
from benchmarks.limits_cases.store import Store
from benchmarks.status_cases.filling import Shape, fill
from promptmill.producer.dispatching.broker import make_sender
from promptmill.producer.dispatching.feed import Feeder
from promptmill.schema.database import Database
from promptmill.schema.settings import Settings, load_settings

_MODELS = 3
_LEAST_HINTS, _MOST_MB = 5_000.0, 20.0


def main() -> None:
    """Measure the engines that are asked for, both by default."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--hints", type=int, default=100_000, help="sent by the case feed")
    asked = asked_for(parser, "engine", ENGINES)
    for engine in asked.chosen:
        with server_of(engine) as server, empty_database(server) as database:
            fill(database, Shape.PENDING, jobs=asked.jobs)
            tell(memory(engine, database, asked.jobs))
            tell(feed(engine, database, asked.jobs, min(asked.hints, asked.jobs // 2)))


def feed(engine: str, database: Database, jobs: int, hints: int) -> dict[str, Any]:
    """Measure the CPU of a hint, all in."""
    with Store() as store, tempfile.TemporaryDirectory(prefix="pm-") as folder:
        feeder = _feeder(_settings(store, folder, depth=jobs), database)
        feeder.feed()  # connects
        redis_us, sent = store.cpu_us(), 0
        began, used = monotonic(), process_time()
        while sent < hints:
            sent += feeder.feed().hints
        wall_s, cpu_s = monotonic() - began, process_time() - used
        figures = {
            "engine": engine,
            "jobs": jobs,
            "hints": sent,
            "cpu_us": cpu_s / sent * 1e6,
            "redis_cpu_us": (store.cpu_us() - redis_us) / sent,
            "hints_a_second": sent / wall_s,
            "hints_a_second_of_one_core": sent / cpu_s,
        }
    return judged("feed", figures, {"hints_a_second_of_one_core": at_least(_LEAST_HINTS)})


def memory(engine: str, database: Database, jobs: int) -> dict[str, Any]:
    """Measure what Redis holds when one queue is as deep as it ever gets."""
    with Store() as store, tempfile.TemporaryDirectory(prefix="pm-") as folder:
        settings = _settings(store, folder, depth=None)
        feeder = _feeder(settings, database)
        empty = store.client.info("memory")["used_memory"]
        hints = 0
        while found := feeder.feed().hints:
            hints += found
        held = store.client.info("memory")["used_memory"] - empty
    figures = {
        "engine": engine,
        "jobs": jobs,
        "hints": hints,
        "redis_mb": held / 1e6,
        "bytes_a_hint": held / max(1, hints),
    }
    return judged("memory", figures, {"redis_mb": at_most(_MOST_MB)})


def _feeder(settings: Settings, database: Database) -> Feeder:
    return Feeder(settings, database, make_sender(settings), clock=monotonic)


def _settings(store: Store, folder: str, *, depth: int | None) -> Settings:
    os.environ["PROMPTMILL_REDIS_URL"] = store.url  # noqa: TID251  where settings are read
    os.environ["PROMPTMILL_STATE_DIR"] = folder  # noqa: TID251
    settings = load_settings()
    depth = depth or settings.dispatch.depth_max
    dispatch = settings.dispatch.model_copy(update={"depth_min": depth, "depth_max": depth})
    return settings.model_copy(update={"dispatch": dispatch})


if __name__ == "__main__":
    main()
