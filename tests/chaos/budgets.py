"""A budget that reaches for a part of the jobs, while workers are killed: R37."""

from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Self

from promptmill.schema.moves.spending import Spending, read_spending, set_budget
from promptmill.simulator import Row
from tests.chaos.catalogue import Fault
from tests.chaos.stage import Stage
from tests.services.running_mill import OPENAI, RunningMill, Worker

_USUAL_MICROS = 20
"""what an answer of the simulator costs, about"""
_EVERY_S = 0.02


@dataclass
class _Auditor:
    """Looks at the books and at the provider's bill all the time."""

    mill: RunningMill
    batch: int
    budget: int
    looks: int = 0
    over: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = Event()
        self._thread = Thread(target=self._work)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stop.wait(_EVERY_S):
            billed = sum(map(_true_micros, self.mill.simulator.bill()))
            kept = self.spending()
            self.looks += 1
            if (kept.room or 0) < 0 or billed > self.budget:
                self.over.append(f"{kept} with {billed} billed")

    def spending(self) -> Spending:
        with self.mill.database.read() as connection:
            return read_spending(connection, [self.batch])[self.batch]


def kept_with_kills(stage: Stage) -> None:
    """Spend no more at any moment, pause with the reason, and go on when the budget is lifted."""
    workers, jobs = stage.size(4, 8), stage.size(300, 1000)
    budget = int(0.4 * jobs * _USUAL_MICROS)
    mill = stage.mill(latency_s=0.8, WORKER__CONCURRENCY="5", RETRY__MAX_CRASHES="50")
    crew = [mill.start_worker(OPENAI, ready=False) for _ in range(workers)]
    for worker in crew:
        mill.wait_ready(worker)
    batch = mill.load(jobs, budget_micros=budget)
    with _Auditor(mill, batch, budget) as auditor:
        _kill_until_paused(stage, mill, batch, crew, every=jobs // 25)
    assert not auditor.over, f"{len(auditor.over)} of {auditor.looks} times: {auditor.over[0]}"
    assert auditor.looks >= 10, "nobody looked"
    state, reason = _state(mill, batch)
    assert state == "paused", mill.states(batch)
    assert reason.startswith("budget: "), reason
    assert mill.states(batch).keys() == {"succeeded", "pending"}, mill.states(batch)
    with mill.database.write() as connection:
        assert set_budget(connection, batch, None), "it did not go on"
    lost = mill.sql("select count(*) as n from attempts where outcome = 3")[0]["n"]
    stage.judge(mill, batch, unbooked=lost)


def _kill_until_paused(
    stage: Stage, mill: RunningMill, batch: int, crew: list[Worker], *, every: int
) -> None:
    """Kill one of *crew* after each so many answers, with its calls open, and start another."""
    next_at = every
    for _ in range(1200):
        stage.pause(0.1)
        if _state(mill, batch)[0] == "paused":
            return
        if mill.states(batch).get("succeeded", 0) >= next_at:
            next_at += every
            victim = stage.rng.randrange(len(crew))
            crew[victim].kill()
            crew[victim] = mill.start_worker(OPENAI, ready=False)


def _true_micros(row: Row) -> float:
    """Price a row of the bill by OpenAI's page for gpt-4o-mini."""
    return 0.15 * row.input_tokens + 0.60 * row.output_tokens if row.billed else 0.0


def _state(mill: RunningMill, batch: int) -> tuple[str, str]:
    (row,) = mill.sql(f"select state, paused_reason from batches where id = {batch}")
    return row["state"], row["paused_reason"] or ""


FAULTS = (Fault("R37", "budget", "a budget for a part of the jobs, with kills", kept_with_kills),)
