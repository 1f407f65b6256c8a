"""`promptmill run --budget`: an estimate that holds, a pause at the budget, and going on."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Event, Thread
from typing import Self

import pytest

from tests.acceptance.laptop import Laptop

MODELS = ("gpt-4o-mini", "gpt-4.1-mini")
WITHIN_S = 400.0
IS_MADE = "select 1 from sqlite_master where name = 'batch_spending'"
LOOK = """
select b.budget_micros, s.spent_micros + s.reserved_micros + s.unknown_micros
from batch_spending s join batches b on b.id = s.batch_id"""


class Auditor:
    """Looks all the time at what is spent and reserved."""

    def __init__(self, database: Path) -> None:
        self._database, self._stop = database, Event()
        self._thread = Thread(target=self._work)
        self.seen: list[tuple[int, int]] = []
        """budget, and what is used of it, in micro-dollars"""

    def _work(self) -> None:
        while not (self._database.exists() or self._stop.wait(0.05)):
            pass
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as connection:
            while not self._stop.wait(0.02):
                if connection.execute(IS_MADE).fetchall():
                    self.seen += connection.execute(LOOK).fetchall()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def write_csv(path: Path, rows: int) -> Path:
    lines = (f"q{n},question number {n}\n" for n in range(rows))
    path.write_text("".join(["id,text\n", *lines]), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("rows", "budget", "concurrency"),
    [
        (60, "0.001", "5"),
        pytest.param(
            10_000, "0.2", "100", marks=[pytest.mark.long, pytest.mark.timeout(2 * WITHIN_S)]
        ),
    ],
)
def test_a_run_pauses_at_its_budget_and_goes_on_when_that_is_raised(
    rows: int, budget: str, concurrency: str, laptop: Laptop
) -> None:
    source = write_csv(laptop.folder / "questions.csv", rows)
    words = [str(source), "-p", "Answer: {text}", "-o", "max_tokens", "60"]
    words += [word for model in MODELS for word in ("-m", model)]
    told = json.loads(laptop.promptmill("estimate", *words, "--json").out)

    with Auditor(laptop.database) as auditor:
        limited = ["--budget", budget, "-c", concurrency]
        typed = laptop.promptmill("run", *words, *limited, within_s=WITHIN_S)
        assert typed.code == 4, typed.err
        assert "batch 1 paused: budget: " in typed.err
        assert "the same command with a higher --budget goes on" in typed.err
        assert 0 < laptop.simulator.summary().total.requests < len(MODELS) * rows

        again = laptop.promptmill("run", *words, "--budget", "10", "-q", within_s=WITHIN_S)
        assert again.code == 0, again.err

    assert laptop.simulator.summary().total.requests == len(MODELS) * rows
    assert auditor.seen
    assert all(used <= most for most, used in auditor.seen)
    ((cost,),) = laptop.sql("select sum(cost_usd) from promptmill_usage_by_model")
    assert told["cost_usd_low"] <= cost <= told["cost_usd_high"]
