"""What each frequent move touches in SQL, and its CPU time, by what is in the tables.

    ./run bench growth [ENGINE ...] [--jobs N ...]

One JSON object a line for each engine and move: touched by jobs in the tables (rows on PostgreSQL,
steps of its virtual machine on SQLite, those of triggers too), the CPU it takes beside it, the
server's included, and how much more is touched of the largest tables than of the smallest.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from time import process_time_ns
from typing import Any

from sqlalchemy import Connection

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.common.command import asked_for, tell
from benchmarks.common.engines import ENGINES, empty_database, server_of
from benchmarks.common.figures import at_most, judged
from benchmarks.growth_cases.history import set_the_scene
from benchmarks.growth_cases.moves import MOVES
from benchmarks.growth_cases.touched import touched
from promptmill.schema.database import Database
from tests.services.postgres import Postgres

_SIZES = (10_000, 100_000, 1_000_000)
_MOST_GROWTH = 1.2
_ROUNDS = 5


def main() -> None:
    """Measure the engines that are asked for, both by default."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, nargs="+", default=_SIZES, help="sizes of the tables")
    asked = asked_for(parser, "engine", ENGINES)
    for engine in asked.chosen:
        for measured in grow(engine, sorted(asked.jobs)):
            tell(measured)


def grow(engine: str, sizes: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Fill a database for each of *sizes*, and measure every move in it."""
    with server_of(engine) as server:
        seen = [_measure(server, jobs) for jobs in sizes]
    for name in MOVES:
        counts = [of_size[name][0] for of_size in seen]
        figures = {
            "engine": engine,
            "jobs": list(sizes),
            "touched": counts,
            "cpu_ms": [round(of_size[name][1], 2) for of_size in seen],
            "growth": counts[-1] / counts[0],
        }
        yield judged(name, figures, {"growth": at_most(_MOST_GROWTH)})


def _measure(server: Postgres | None, jobs: int) -> dict[str, tuple[int, float]]:
    with empty_database(server) as database:
        scene = set_the_scene(database, jobs=jobs)
        return {
            name: (
                touched(database, partial(move, scene)),
                min(_cpu_ms(database, partial(move, scene)) for _ in range(_ROUNDS)),
            )
            for name, move in MOVES.items()
        }


def _cpu_ms(database: Database, act: Callable[[Connection], object]) -> float:
    with database.write() as connection:
        server = None
        if connection.dialect.name != "sqlite":
            server = int(connection.exec_driver_sql("select pg_backend_pid()").scalar_one())
        began = _cpu_ns(server)
        act(connection)
        used = _cpu_ns(server) - began
        connection.rollback()
    return used / 1e6


def _cpu_ns(server: int | None) -> int:
    """Read what this process has used, and the server's process that works for it, if any."""
    ours = process_time_ns()
    if server is None:
        return ours
    return ours + int(Path(f"/proc/{server}/schedstat").read_text().split()[0])


if __name__ == "__main__":
    main()
