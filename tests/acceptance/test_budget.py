"""`promptmill run --budget`: an estimate that holds, a pause at the budget, and going on."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Event, Thread
from typing import Self

from tests.acceptance.laptop import Laptop

PROMPTS = 60
MODELS = ("gpt-4o-mini", "gpt-4.1-mini")
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


def test_a_run_pauses_at_its_budget_and_goes_on_when_that_is_raised(laptop: Laptop) -> None:
    words = [str(laptop.write_prompts(PROMPTS)), "-p", "Answer: {text}", "-o", "max_tokens", "60"]
    words += [word for model in MODELS for word in ("-m", model)]
    told = json.loads(laptop.promptmill("estimate", *words, "--json").out)

    with Auditor(laptop.database) as auditor:
        typed = laptop.promptmill("run", *words, "--budget", "0.001", "-c", "5")
        assert typed.code == 4, typed.err
        assert "batch 1 paused: budget: " in typed.err
        assert "the same command with a higher --budget goes on" in typed.err
        assert 0 < laptop.simulator.summary().total.requests < len(MODELS) * PROMPTS

        again = laptop.promptmill("run", *words, "--budget", "1", "-q")
        assert again.code == 0, again.err

    assert laptop.simulator.summary().total.requests == len(MODELS) * PROMPTS
    assert auditor.seen
    assert all(used <= budget for budget, used in auditor.seen)
    ((cost,),) = laptop.sql("select sum(cost_usd) from promptmill_usage_by_model")
    assert told["cost_usd_low"] <= cost <= told["cost_usd_high"]
