"""What there is to dispatch and to sweep. No statement here writes.

None reads batches that have ended (`carried`): each live call of a gateway is one.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from promptmill.schema.connection import Connection
from promptmill.schema.due import FirstDue
from promptmill.schema.hint import Hint
from promptmill.schema.lanes import IN_LANE
from promptmill.schema.moves.spending import ROOM
from promptmill.schema.statement import Statement
from promptmill.schema.stretch import stretch


class Scope(NamedTuple):
    """What a limit holds for, and what is fed by itself."""

    provider: str
    model: str


class Unasked(StrEnum):
    """Where rows are that have not been asked; in SQL, over jobs."""

    PENDING = "state = 0"
    LANED = IN_LANE


@dataclass(frozen=True, slots=True)
class BatchBacklog:
    """What is left to do of one open batch in one scope, in jobs."""

    batch_id: int
    priority: int
    scope: Scope
    pending: int
    queued: int
    running: int
    waiting: int
    owner: int | None = None
    """the tenant whose it is; None: nobody's"""
    fits: int | None = None
    """how many calls its budget has room for, where one did not fit; None: no matter how many"""
    live: int | None = None
    """how many of the pending jobs are asked live, where there is another way; None: all"""

    @property
    def left(self) -> int:
        """Jobs that have not ended."""
        return self.pending + self.queued + self.running + self.waiting

    @property
    def ready(self) -> int:
        """Pending jobs that may be queued."""
        live = self.pending if self.live is None else min(self.pending, self.live)
        if self.fits is None:
            return live
        return min(live, max(0, self.fits - self.queued))

    @property
    def is_held(self) -> bool:
        """Whether its budget has no room for the next call."""
        return self.fits is not None and self.fits <= 0


def _jobs_in(state: int) -> str:
    return f"cast(sum(case c.state when {state} then c.jobs else 0 end) as bigint)"


_backlog = Statement(
    f"""
select c.batch_id, b.priority, c.provider, c.model,
  {_jobs_in(0)}, {_jobs_in(1)}, {_jobs_in(2)}, {_jobs_in(3)}, b.tenant_id,
  min(({ROOM}) / s.wanted_micros)
from batches b cross join batch_counts c
left join batch_spending s on s.batch_id = b.id and b.budget_micros is not null
where b.state = 'open' and b.carried is null and c.batch_id = b.id and c.state < 4 and c.jobs > 0
group by c.batch_id, b.priority, b.tenant_id, c.provider, c.model
order by c.batch_id, c.provider, c.model"""
)
_BODY = {"sqlite": "p.body", "postgresql": "p.body::text"}


def _span_of(where: Unasked, dialect: str) -> Statement:
    first, last = (stretch(where, "id", last_first=last)[dialect] for last in (False, True))
    # Two looks at the index: for min and max in one select SQLite reads all that is between.
    return Statement(
        f"select (select id from jobs {first} limit 1), (select id from jobs {last} limit 1)"
    )


_span = {(where, dialect): _span_of(where, dialect) for where in Unasked for dialect in _BODY}
_from = {
    (where, dialect): Statement(
        f"""
select j.id, {_BODY[dialect]} from (select id from jobs {rows} limit 1) as j
join job_payloads p on p.job_id = j.id"""
    )
    for where in Unasked
    for dialect, rows in stretch(where, "id", bound=">= :first").items()
}
# Else it reads all jobs above that id, where its statistics know of one batch only.
_BY_DUE = {"sqlite": "indexed by jobs_due", "postgresql": ""}
_pending_rows = {
    dialect: Statement(
        f"""
select j.id, {_BODY[dialect]} from (select id from jobs {_BY_DUE[dialect]} {rows} limit :most) as j
join job_payloads p on p.job_id = j.id""",
        in_order=True,
    )
    for dialect, rows in stretch("state = 0", "id", bound="> :after").items()
}
_started = Statement(
    """
select c.batch_id, c.provider, c.model,
  sum(case when c.state in (2, 4, 5, 7) then c.jobs else 0 end)
from batches b cross join batch_counts c
where b.state in ('open', 'paused', 'cancelled') and b.carried is null and c.batch_id = b.id
group by c.batch_id, c.provider, c.model"""
)
_due_waiting = FirstDue("select count(*) from ({due}) as due")
_aged_hints = Statement(
    """
select provider, id, dispatch_no from jobs
where state = 1 and provider = :provider and queued_at <= {after:-:age_s}
order by queued_at limit :most"""
)
_cancelled = Statement(
    """
select distinct b.id from batches b cross join batch_counts c
where b.state = 'cancelled' and b.carried is null and c.batch_id = b.id and c.state in (0, 1, 3)
  and c.jobs > 0 order by b.id"""
)


def backlog(connection: Connection) -> list[BatchBacklog]:
    """List what is left to do of the open batches."""
    return [
        BatchBacklog(row[0], row[1], Scope(row[2], row[3]), *(row[4:]))
        for row in _backlog.fetch(connection)
    ]


def row_sample(
    connection: Connection, batch_id: int, scope: Scope, where: Unasked, *, most: int
) -> list[str]:
    """Read the requests of some jobs of a batch and scope, evenly taken: JSON."""
    which = {"batch_id": batch_id, **scope._asdict()}
    dialect = connection.dialect.name
    ((first, last),) = _span[where, dialect].fetch(connection, **which)
    if first is None:
        return []
    next_of = _from[where, dialect]
    starts = {first + (last - first) * n // max(1, most - 1) for n in range(most)}
    rows = [row for start in starts for row in next_of.fetch(connection, **which, first=start)]
    return [row[1] for row in {row[0]: row for row in rows}.values()]


def pending_rows(
    connection: Connection, batch_id: int, scope: Scope, *, after: int, most: int
) -> list[tuple[int, str]]:
    """Read the next pending jobs of a batch and scope by their ids above *after*: id, request."""
    which = {"batch_id": batch_id, **scope._asdict()}
    rows = _pending_rows[connection.dialect.name].fetch(connection, **which, after=after, most=most)
    return sorted((row[0], row[1]) for row in rows)


def started_jobs(connection: Connection) -> dict[tuple[int, Scope], int]:
    """Count the jobs of each batch and scope that run or have run; it grows as jobs are claimed."""
    rows = _started.fetch(connection)
    return {(row[0], Scope(row[1], row[2])): int(row[3]) for row in rows}


def due_waiting(connection: Connection, scope: Scope, *, most: int) -> int:
    """Count the waiting jobs of a scope whose time has come, up to *most*."""
    rows = _due_waiting.fetch(connection, provider=scope.provider, model=scope.model, most=most)
    return int(rows[0][0])


def aged_hints(
    connection: Connection, provider: str, *, age_s: float, most: int
) -> list[tuple[str, Hint]]:
    """List (provider, hint) of jobs that have been queued for longer than *age_s*, oldest first.

    Of one provider: those of another, whose workers are away, may be old, many and not lost.
    """
    rows = _aged_hints.fetch(connection, provider=provider, age_s=age_s, most=most)
    return [(row[0], Hint(row[1], row[2])) for row in rows]


def cancelled_batches(connection: Connection) -> list[int]:
    """List the cancelled batches that still have jobs to be moved to cancelled."""
    return [row[0] for row in _cancelled.fetch(connection)]
