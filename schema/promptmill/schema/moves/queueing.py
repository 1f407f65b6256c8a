"""Choose due jobs to be hinted, and take back hints that did not come to anything."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from promptmill.schema.connection import Connection
from promptmill.schema.due import FirstDue
from promptmill.schema.hint import Hint
from promptmill.schema.pools import BACK
from promptmill.schema.statement import Column, RowSet, Statement
from promptmill.schema.stretch import stretch


@dataclass(frozen=True, slots=True)
class Queued:
    """A job that was moved to queued, with what its hint shows to people."""

    job_id: int
    dispatch_no: int
    batch_id: int
    position: int
    provider: str
    model: str
    attempts: int

    @property
    def hint(self) -> Hint:
        """The message to publish."""
        return Hint(self.job_id, self.dispatch_no)


_HINTS = RowSet("hints", (Column("job_id", "bigint"), Column("dispatch_no", "integer")))

# The plus keeps the partial index of that state out of it: where statistics know none of its rows,
# PostgreSQL would read all of them for each id.
_QUEUED = """
update jobs set state = 1, dispatch_no = dispatch_no + 1, queued_at = {now}, run_at = null,
  pool = case when :to <> provider then provider else pool end, provider = :to
where +state = %s and id in (%s)
returning id, dispatch_no, batch_id, position, provider, model, attempts
"""
IS_OPEN = "exists (select 1 from batches b where b.id = :batch_id and b.state = 'open')"
_queue_pending = {
    dialect: Statement(
        _QUEUED.replace("%s", "0", 1).replace("%s", f"select id from jobs {rows} limit :most"),
        in_order=True,
    )
    for dialect, rows in stretch(f"state = 0 and {IS_OPEN}", "id").items()
}
_queue_waiting = FirstDue(_QUEUED.replace("%s", "3", 1).replace("%s", "{due}"))
_queue_line = Statement(
    """
update jobs set state = 1, dispatch_no = dispatch_no + 1, queued_at = {now}, run_at = null
where id = (select b.first_job_id from batches b where b.id = :batch_id and b.state = 'open')
  and (+state = 0 or +state = 3 and run_at <= {now})
  and provider in (select served.provider from {served})
returning id, dispatch_no, batch_id, position, provider, model, attempts""",
    RowSet("served", (Column("provider", "text"),)),
)
_unqueue = Statement(
    f"""
update jobs set state = 0, queued_at = null, provider = {BACK} from {{hints}}
where jobs.id = hints.job_id and jobs.dispatch_no = hints.dispatch_no and +jobs.state = 1
returning jobs.id""",
    _HINTS,
)
# A pool's are dealt anew.
_requeue = Statement(
    """
update jobs set state = 1, queued_at = {now}, run_at = null from {hints}
where jobs.id = hints.job_id and jobs.dispatch_no = hints.dispatch_no and +jobs.state = 3
  and jobs.run_at <= {now} and jobs.pool is null
returning jobs.id""",
    _HINTS,
)
_postpone = Statement(
    f"""
update jobs set state = 3, queued_at = null, run_at = {{after:postponed.delay_s}},
  provider = {BACK} from {{postponed}}
where jobs.id = postponed.job_id and jobs.dispatch_no = postponed.dispatch_no
  and +jobs.state in (1, 3)
returning jobs.id""",
    RowSet(
        "postponed",
        (
            Column("job_id", "bigint"),
            Column("dispatch_no", "integer"),
            Column("delay_s", "double precision"),
        ),
    ),
)


# What a member was dealt and nobody has begun; under a pool's own name what a dispatcher queued
# that did not know it.
_DEALT = """from jobs where provider = :provider and model = :model
  and state = 1 and coalesce(pool, provider) = :pool
  and not exists (select 1 from background_responses r where r.job_id = jobs.id)"""
_has_dealt = Statement(f"select 1 {_DEALT} order by queued_at limit 1", in_order=True)
# What is being claimed is left: claims lock in another order.
_LOCKED = {"sqlite": "", "postgresql": "for update skip locked"}
# The newest first.
_give_back = {
    dialect: Statement(
        f"""
update jobs set state = 0, queued_at = null, provider = coalesce(pool, provider)
where +state = 1 and id in (select id {_DEALT} order by queued_at desc limit :most {lock})""",
        in_order=True,
    )
    for dialect, lock in _LOCKED.items()
}
_unqueue_scope = {
    dialect: Statement(
        f"""
update jobs set state = 0, queued_at = null, provider = {BACK}
where +state = 1 and id in (select id from jobs where provider = :provider and model = :model
  and state = 1 order by queued_at limit :most {lock})""",
        in_order=True,
    )
    for dialect, lock in _LOCKED.items()
}


def queue_pending(
    connection: Connection,
    *,
    batch_id: int,
    provider: str,
    model: str,
    most: int,
    to: str | None = None,
) -> list[Queued]:
    """Move the oldest pending jobs of one scope of an open batch to queued; list them by age.

    *to*: the member that they are dealt to, where *provider* is a pool.
    """
    rows = _queue_pending[connection.dialect.name].fetch(
        connection,
        batch_id=batch_id,
        provider=provider,
        model=model,
        most=most,
        to=to or provider,
    )
    return sorted((Queued(*row) for row in rows), key=lambda job: job.job_id)


def queue_waiting(
    connection: Connection, *, provider: str, model: str, most: int, to: str | None = None
) -> list[Queued]:
    """Move waiting jobs whose time has come to queued; *to* as above."""
    rows = _queue_waiting.fetch(
        connection, provider=provider, model=model, most=most, to=to or provider
    )
    return [Queued(*row) for row in rows]


def queue_line(connection: Connection, batch_id: int, *, providers: Iterable[str]) -> Queued | None:
    """Move the job of an open batch of one line to queued, for who answers it unhinted.

    None: it is not due, the dispatcher was first, or none of *providers* is to answer it.
    """
    rows = [(provider,) for provider in providers]
    moved = _queue_line.fetch(connection, {"served": rows}, batch_id=batch_id)
    return Queued(*moved[0]) if moved else None


def give_back(connection: Connection, *, provider: str, model: str, pool: str, most: int) -> int:
    """Put queued jobs of *pool* back that were dealt to *provider*; return how many.

    Their hints are stale from the commit on.
    """
    statement = _give_back[connection.dialect.name]
    return statement.run(connection, provider=provider, model=model, pool=pool, most=most)


def has_dealt(connection: Connection, *, provider: str, model: str, pool: str) -> bool:
    """Say whether *provider* has anything queued that it could give back to *pool*."""
    return bool(_has_dealt.fetch(connection, provider=provider, model=model, pool=pool))


def unqueue(connection: Connection, hints: Sequence[Hint]) -> set[int]:
    """Put queued jobs back to pending; a hint that is stale changes nothing."""
    rows = [(hint.job_id, hint.dispatch_no) for hint in hints]
    return {row[0] for row in _unqueue.fetch(connection, {"hints": rows})}


def unqueue_scope(connection: Connection, *, provider: str, model: str, most: int) -> int:
    """Put queued jobs of one scope back, whoever holds their hints; return how many."""
    statement = _unqueue_scope[connection.dialect.name]
    return statement.run(connection, provider=provider, model=model, most=most)


def requeue(connection: Connection, hints: Sequence[Hint]) -> set[int]:
    """Move due waiting jobs to queued, for a worker that publishes their old hints again itself."""
    rows = [(hint.job_id, hint.dispatch_no) for hint in hints]
    return {row[0] for row in _requeue.fetch(connection, {"hints": rows})}


def postpone(connection: Connection, postponed: Sequence[tuple[Hint, float]]) -> set[int]:
    """Snooze jobs that were hinted and not claimed: due again in so many seconds."""
    rows = [(hint.job_id, hint.dispatch_no, delay_s) for hint, delay_s in postponed]
    return {row[0] for row in _postpone.fetch(connection, {"postponed": rows})}
