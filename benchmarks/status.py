"""How long commands and questions take of a batch of a million jobs that is half way through.

    ./run bench status [ENGINE ...] [--jobs N]

The databases are made first (half a minute each). One JSON object a line:

    seconds   median of five; of a command with its start, of a question without
    spread    the least and the most
    cpu_s     of a command: its CPU time, without that of the database's server
    start_s   of a command: how long `promptmill --version` took beside it

`cancel` comes last and once: it returns when all pending prompts are marked. Its `acts_s` is the
time until another connection sees the batch cancelled; nothing of it is claimed from then on.

What a question reads, and so what is demanded, is written on docs/questions.md.
"""

import argparse
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from threading import Event
from time import monotonic
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.common.child import PROMPTMILL, Cost, run
from benchmarks.common.command import asked_for, tell
from benchmarks.common.engines import ENGINES, empty_database, server_of
from benchmarks.common.figures import at_most, judged
from benchmarks.status_cases.filling import Shape, fill
from promptmill.schema.database import Database
from promptmill.schema.reading import query

_ROUNDS = 5
_COMMANDS = {
    "status 1": (0.5, _ROUNDS),
    "ls": (0.5, _ROUNDS),
    "results 1 -n 20": (0.5, _ROUNDS),
    "results 1 --failed -n 20": (0.5, _ROUNDS),
    "pause 1": (5.0, _ROUNDS),
    "resume 1": (5.0, _ROUNDS),
}
"""with the seconds they may take where nothing else runs, and how often each is typed"""
_ACTS_S = 5.0
_LOOK_S = 0.01
_QUESTION = re.compile(
    r"^## ([^\n]+)\n\n\*Reads ([^\n]+)\.\*\n\n```sql\n(.*?)```", re.DOTALL | re.MULTILINE
)
_SECONDS = {"rollups": 1.0, "what failed": 1.0, "the batch": 10.0, "one prompt": 1.0}
_PAGE = Path(__file__).parents[1] / "docs" / "questions.md"


def main() -> None:
    """Measure the engines that are asked for, both by default."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1_000_000)
    asked = asked_for(parser, "engine", ENGINES)
    for engine in asked.chosen:
        with server_of(engine) as server, empty_database(server) as database:
            fill(database, Shape.HALF, jobs=asked.jobs)
            for measured in (*questions(engine, database), *commands(engine, database)):
                tell(measured)


def questions(engine: str, database: Database) -> Iterator[dict[str, Any]]:
    """Ask what the page asks."""
    for title, reads, sql in _QUESTION.findall(_PAGE.read_text(encoding="utf-8")):
        asked = sql.replace("capital-03", "row-200")
        seconds = [_ask(database, asked) for _ in range(_ROUNDS)]
        yield told(f"{title} ({engine})", seconds, _SECONDS[reads], reads=reads)


def commands(engine: str, database: Database) -> Iterator[dict[str, Any]]:
    """Type what people type."""
    url = database.url.render_as_string(hide_password=False)
    with tempfile.TemporaryDirectory(prefix="pm-") as folder:
        found = {"PROMPTMILL_DATABASE_URL": url, "PROMPTMILL_STATE_DIR": folder}

        def type_it(words: str, rounds: int) -> list[Cost]:
            return [run([*PROMPTMILL, *words.split()], found) for _ in range(rounds)]

        start = type_it("--version", _ROUNDS)
        for words, (most, rounds) in _COMMANDS.items():
            costs = type_it(words, rounds)
            figures = {
                "cpu_s": median(cost.cpu_s for cost in costs),
                "start_s": median(cost.seconds for cost in start),
            }
            yield told(f"{words} ({engine})", [cost.seconds for cost in costs], most, **figures)
        yield cancelled(engine, database, lambda: type_it("cancel 1", 1))


def cancelled(engine: str, database: Database, cancel: Callable[[], list[Cost]]) -> dict[str, Any]:
    """Cancel, and see from outside when it acts."""
    with ThreadPoolExecutor(1) as pool:
        began = monotonic()
        typed = pool.submit(cancel)
        while not (typed.done() or _is_cancelled(database)):
            Event().wait(_LOOK_S)
        acts_s = monotonic() - began
        (cost,) = typed.result()
    figures = {"acts_s": acts_s, "seconds": cost.seconds, "cpu_s": cost.cpu_s}
    return judged(f"cancel 1 ({engine})", figures, {"acts_s": at_most(_ACTS_S)})


def told(case: str, seconds: list[float], most: float, **more: Any) -> dict[str, Any]:
    """Make the object of one case."""
    figures = {
        "seconds": median(seconds),
        "spread": [round(min(seconds), 3), round(max(seconds), 3)],
        **more,
    }
    return judged(case, figures, {"seconds": at_most(most)})


def _is_cancelled(database: Database) -> bool:
    asked = query(database, "select state from batches where id = 1")
    return any(state == "cancelled" for _names, rows in asked for (state,) in rows)


def _ask(database: Database, sql: str) -> float:
    began = monotonic()
    for _names, rows in query(database, sql):
        for _ in rows:
            pass
    return monotonic() - began


if __name__ == "__main__":
    main()
