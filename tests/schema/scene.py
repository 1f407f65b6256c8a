"""A database with a clock of its own, and short words for what the tests of the moves do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType, SimpleNamespace
from typing import Any

from sqlalchemy import Connection

from promptmill.schema.database import Database
from promptmill.schema.hint import Hint
from promptmill.schema.instants import iso
from promptmill.schema.moves.claiming import claim
from promptmill.schema.moves.closing import close
from promptmill.schema.moves.endings import Attempted, Closing, StoredResult
from promptmill.schema.moves.loading import NewBatch, create_batch, insert_jobs, open_batch
from promptmill.schema.moves.queueing import postpone, queue_pending, queue_waiting
from promptmill.schema.moves.rescuing import rescue
from promptmill.schema.moves.spending import Reservation
from promptmill.schema.new_job import NewJob
from promptmill.schema.outcomes import AttemptOutcome, ErrorKind, Usage

PROVIDER, MODEL = "openai", "gpt-test"
START = datetime(2026, 11, 22, 10, 59, 0, tzinfo=UTC)

ANSWERED = Attempted(
    AttemptOutcome.SUCCEEDED,
    http_status=200,
    request_id="req-1",
    latency_ms=1234,
    usage=Usage(100, 20, cache_read_tokens=40, cache_write_tokens=5, reasoning_tokens=7),
    cost_micros=1500,
)
BUSY = Attempted(AttemptOutcome.REFUSED, http_status=429, error_kind=ErrorKind.RATE)
BROKEN = Attempted(
    AttemptOutcome.REFUSED,
    http_status=500,
    error_kind=ErrorKind.TRANSIENT,
    error_code="server_error",
    error_text="try again",
    cost_micros=0,
)
REFUSED = Attempted(AttemptOutcome.REFUSED, http_status=400, error_kind=ErrorKind.REQUEST)
CUT = Attempted(AttemptOutcome.UNKNOWN, error_kind=ErrorKind.UNKNOWN, error_code="timeout")
UNSENT = Attempted(AttemptOutcome.NOT_SENT)
ANSWER = StoredResult("four", "stop", response_model="gpt-test-1", response_id="resp-1")


class Clock:
    """Stands still until told to go on."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> str:
        return iso(self.at)

    def advance(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def new_batch(name: str = "test", **changes: Any) -> NewBatch:
    fields: dict[str, Any] = {
        "identity": f"identity of {name}",
        "input_name": "prompts.jsonl",
        "options": "{}",
        "total": 0,
    }
    return NewBatch(name=name, **(fields | changes))


def new_jobs(count: int, *, provider: str = PROVIDER, model: str = MODEL) -> list[NewJob]:
    return [
        NewJob(n, f"row-{n}", provider, model, '{"prompt": "2 + 2"}', f"{n:064x}")
        for n in range(1, count + 1)
    ]


@dataclass
class Scene:
    """Moves on *database*, each in a transaction of its own, at the time of `clock`."""

    database: Database
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.database.inject_clock(self.clock)

    def load(self, count: int = 1, *, jobs: Sequence[NewJob] | None = None, **changes: Any) -> int:
        """Make and open a batch; return its id. Its jobs are `self.ids(batch)`."""
        with self.database.write() as connection:
            name = changes.pop("name", f"batch at {self.count('batches')}")
            batch_id = create_batch(connection, new_batch(name, total=count, **changes))
            insert_jobs(connection, batch_id, jobs or new_jobs(count))
            open_batch(connection, batch_id)
        return batch_id

    def ids(self, batch_id: int) -> list[int]:
        rows = self.sql(f"select id from jobs where batch_id = {batch_id} order by id")
        return [row.id for row in rows]

    def queue(self, batch_id: int, *, most: int = 100, model: str = MODEL) -> list[Hint]:
        with self.database.write() as connection:
            queued = queue_pending(
                connection, batch_id=batch_id, provider=PROVIDER, model=model, most=most
            )
        return [row.hint for row in queued]

    def queue_due(self, *, most: int = 100) -> list[Hint]:
        with self.database.write() as connection:
            queued = queue_waiting(connection, provider=PROVIDER, model=MODEL, most=most)
        return [row.hint for row in queued]

    def postpone(self, *hints: Hint, seconds: float = 60.0) -> None:
        with self.database.write() as connection:
            postpone(connection, [(hint, seconds) for hint in hints])

    def claim(
        self,
        *hints: Hint,
        worker: str = "w1",
        key: str = "k1",
        reservations: Mapping[int, Reservation] = MappingProxyType({}),
    ) -> dict[int, int]:
        with self.database.write() as connection:
            claims = [(hint, key) for hint in hints]
            return claim(connection, claims, worker_id=worker, reservations=reservations)

    def close(self, *closings: Closing, worker: str = "w1") -> set[int]:
        with self.database.write() as connection:
            return close(connection, closings, worker_id=worker)

    def rescue(self, *lost: tuple[int, int], worker: str = "w1", max_crashes: int = 3) -> set[int]:
        with self.database.write() as connection:
            return rescue(
                connection,
                lost,
                worker_id=worker,
                alone=len(lost) == 1,
                max_crashes=max_crashes,
                reason="its beat stood still",
            )

    def running(self, **changes: Any) -> tuple[int, int]:
        """Make a batch of one job and claim it; return (job id, fence)."""
        hints = self.queue(self.load(**changes))
        return next(iter(self.claim(*hints).items()))

    def again(self, job_id: int, *, worker: str = "w2") -> tuple[int, int]:
        """Hint and claim a job that is pending; return (job id, fence)."""
        hints = self.queue(self.job(job_id).batch_id)
        return job_id, self.claim(*hints, worker=worker)[job_id]

    def job(self, job_id: int) -> Any:
        return self.sql(f"select * from jobs where id = {job_id}")[0]

    def attempt(self, job_id: int, fence: int) -> Any:
        where = f"job_id = {job_id} and fence = {fence}"
        return self.sql(f"select * from attempts where {where}")[0]

    def result(self, job_id: int) -> Any:
        rows = self.sql(f"select * from results where job_id = {job_id}")
        return rows[0] if rows else None

    def count(self, table: str) -> int:
        return int(self.sql(f"select count(*) as n from {table}")[0].n)

    def sql(self, statement: str) -> list[Any]:
        with self.database.read() as connection:
            return rows_of(connection, statement)

    def order(self, statement: str) -> int:
        """Run a statement as a person at a SQL prompt would; return how many rows it changed."""
        with self.database.write() as connection:
            return connection.exec_driver_sql(statement).rowcount

    def everything(self) -> dict[str, list[Any]]:
        """All rows of the tables that moves write."""
        tables = ("jobs", "attempts", "results", "batch_counts", "usage_hourly", "latency_daily")
        return {name: self.sql(f"select * from {name} order by 1, 2, 3, 4") for name in tables}

    def assert_sums(self) -> None:
        """Counters equal the tables, and rollups the sums over attempts."""
        with self.database.read() as connection:
            assert_sums(connection)


def rows_of(connection: Connection, statement: str) -> list[Any]:
    return [
        SimpleNamespace(**row) for row in connection.exec_driver_sql(statement).mappings().all()
    ]


def assert_sums(connection: Connection) -> None:
    """Compare counters and rollups with the tables that they sum up."""
    for kept, counted in _SUMS:
        left = sorted(map(tuple, connection.exec_driver_sql(kept)))
        right = sorted(map(tuple, connection.exec_driver_sql(counted)))
        assert left == right, f"kept {left}\ncounted {right}\nby {counted}"


_SUMS = (
    (
        "select batch_id, provider, model, state, jobs from batch_counts where jobs <> 0",
        "select batch_id, provider, model, state, count(*) from jobs group by 1, 2, 3, 4",
    ),
    (
        """select batch_id, provider, model, outcome, error_kind, sum(calls), sum(unpriced_calls),
  sum(input_tokens), sum(output_tokens), sum(cost_micros)
from usage_hourly group by 1, 2, 3, 4, 5 having sum(calls) <> 0""",
        """select batch_id, provider, model, outcome, coalesce(error_kind, ''), count(*),
  sum(case when cost_micros is null then 1 else 0 end), coalesce(sum(input_tokens), 0),
  coalesce(sum(output_tokens), 0), coalesce(sum(cost_micros), 0)
from (select batch_id, provider, model, outcome, error_kind, cost_micros, input_tokens,
    output_tokens from attempts
  union all select batch_id, provider, model, outcome, error_kind, cost_micros, input_tokens,
    output_tokens from embedder_calls) calls
where outcome <> 0 group by 1, 2, 3, 4, 5""",
    ),
    (
        "select batch_id, provider, model, sum(calls) from latency_daily group by 1, 2, 3",
        """select batch_id, provider, model, count(*) from attempts
where outcome = 1 and latency_ms is not null group by 1, 2, 3""",
    ),
    (
        "select batch_id, spent_micros, reserved_micros, unknown_micros from batch_spending",
        """select s.batch_id, coalesce(sum(a.cost_micros), 0),
  coalesce(sum(case when a.outcome = 0 then a.reserved_micros end), 0),
  coalesce(sum(case when a.outcome not in (0, 2, 4) and a.cost_micros is null
    or a.error_kind = 'bad_response' and a.cost_micros is null then a.reserved_micros end), 0)
from batch_spending s left join (
  select batch_id, outcome, error_kind, cost_micros, reserved_micros from attempts union all
  select batch_id, outcome, error_kind, cost_micros, reserved_micros from embedder_calls) a
on a.batch_id = s.batch_id group by s.batch_id""",
    ),
    (
        "select tenant_id, carried_micros from tenant_spending where carried_micros <> 0",
        """select b.tenant_id, sum(s.spent_micros + s.reserved_micros + s.unknown_micros)
from batches b join batch_spending s on s.batch_id = b.id
where b.carried = 1 and b.tenant_id is not null
group by b.tenant_id having sum(s.spent_micros + s.reserved_micros + s.unknown_micros) <> 0""",
    ),
)
