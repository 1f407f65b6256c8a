"""Take due jobs: queued (or waiting and due) to running, with the intent in the same commit."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from sqlalchemy import Connection

from promptmill.schema.hint import Hint
from promptmill.schema.lanes import LANE_AT
from promptmill.schema.moves.spending import Reservation, read_spending, reserve
from promptmill.schema.statement import Column, RowSet, Statement

Claims = Sequence[tuple[Hint, str]]
"""hints, each with the fingerprint of the key that will be used"""
Reservations = Mapping[int, Reservation]
"""by job"""

_NONE: Reservations = MappingProxyType({})
_TRIES = 5
_CLAIMS = RowSet(
    "claims",
    (
        Column("job_id", "bigint"),
        Column("dispatch_no", "integer"),
        Column("fingerprint", "text"),
        Column("reserved", "bigint"),
    ),
)
_CLAIMED = RowSet(
    "claimed",
    (Column("job_id", "bigint"), Column("fence", "bigint"), Column("reserved", "bigint")),
)

# A day that is used up keeps back what is not booked yet: what was booked of it is still called.
_TAKE = """
update jobs set state = 2, fence = fence + 1, lease_owner = :worker_id, queued_at = null,
  run_at = null
from {claims}, batches b
where jobs.id = claims.job_id and jobs.dispatch_no = claims.dispatch_no
  and %s
  and b.id = jobs.batch_id and b.state = 'open'
  and (b.budget_micros is null or claims.reserved is not null)
  and not exists (select 1 from pauses p where p.provider = jobs.provider and p.kind <> 'daily'
    and p.model in ('', jobs.model) and p.fingerprint in ('', claims.fingerprint)
    and (p.until_at is null or p.until_at > {now}))
  and not exists (select 1 from workers w where w.id = :worker_id and w.stopped_at is not null)
"""
_INTEND = """
insert into attempts (job_id, fence, batch_id, provider, model, worker_id, started_at, outcome,
  reserved_micros)
select j.id, j.fence, j.batch_id, j.provider, j.model, :worker_id, {now}, 0, """

_intend = Statement(
    f"{_INTEND} claimed.reserved from {{claimed}}"
    " join jobs j on j.id = claimed.job_id and j.fence = claimed.fence",
    _CLAIMED,
)


@dataclass(frozen=True, slots=True)
class Due:
    """Which jobs may be claimed, and the statements that take those."""

    take: Statement
    """and no more: SQLite writes the intents by `_intend`"""
    take_and_intend: Statement


def _due(condition: str) -> Due:
    taking = _TAKE.replace("%s", condition)
    return Due(
        Statement(taking + "returning jobs.id, jobs.fence", _CLAIMS),
        Statement(
            f"with j as ({taking} returning jobs.id, jobs.fence, jobs.batch_id, jobs.provider,"
            f" jobs.model, claims.reserved) {_INTEND} j.reserved from j returning job_id, fence",
            _CLAIMS,
        ),
    )


HINTED = _due("(+jobs.state = 1 or +jobs.state = 3 and jobs.run_at <= {now} and jobs.pool is null)")
"""by a hint: queued, or waiting and due; what waits for a pool is dealt first"""
LANED = _due(f"+jobs.state = 3 and jobs.run_at = {LANE_AT}")
"""by the lane, for a provider batch"""

_claimed_before = Statement(
    """
select jobs.id, jobs.fence from {claims}
join jobs on jobs.id = claims.job_id and jobs.dispatch_no = claims.dispatch_no
where +jobs.state = 2 and jobs.lease_owner = :worker_id""",
    _CLAIMS,
)


def claim(
    connection: Connection,
    claims: Claims,
    *,
    worker_id: str,
    reservations: Reservations = _NONE,
    due: Due = HINTED,
) -> dict[int, int]:
    """Claim jobs by their hints. What a batch with a budget has no room for is not claimed.

    Returns the new fence of each job that was claimed. One that is missing was stale, not due,
    paused or cancelled; whoever holds it now is somebody else. A worker that was declared dead
    claims nothing under that name: the next sweep would take the job from it, with the call open.
    """
    if not reservations:
        return _take(connection, claims, worker_id, _NONE, due)
    # Room that is there now may be taken by another worker until this one has its jobs.
    for _ in range(_TRIES):
        fitting, refused = _choose(connection, claims, reservations)
        with connection.begin_nested() as undo:
            fences = _take(connection, fitting, worker_id, reservations, due)
            taken = [reservations[job] for job in fences if job in reservations]
            if _reserve(connection, taken, refused):
                return fences
            undo.rollback()
    free = [one for one in claims if one[0].job_id not in reservations]
    return _take(connection, free, worker_id, _NONE, due)


def _choose(
    connection: Connection, claims: Claims, reservations: Reservations
) -> tuple[Claims, Sequence[Reservation]]:
    """Keep of *claims* what there is room for; tell what does not fit."""
    batches = {asked.batch_id for asked in reservations.values()}
    found = read_spending(connection, batches)
    room = {batch_id: one.room for batch_id, one in found.items() if one.room is not None}
    fitting: list[tuple[Hint, str]] = []
    refused: list[Reservation] = []
    for hint, fingerprint in claims:
        asked = reservations.get(hint.job_id)
        if asked is not None and asked.batch_id in room:
            if asked.micros > room[asked.batch_id]:
                refused.append(asked)
                continue
            room[asked.batch_id] -= asked.micros
        fitting.append((hint, fingerprint))
    return fitting, refused


def _reserve(
    connection: Connection, taken: Iterable[Reservation], refused: Iterable[Reservation]
) -> bool:
    """Reserve for what was taken. False: it does not fit any more."""
    micros: defaultdict[int, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for kind, reservations in enumerate((taken, refused)):
        for asked in reservations:
            micros[asked.batch_id][kind].append(asked.micros)
    return all(
        reserve(connection, batch_id, taken=taken_, refused=refused_)
        for batch_id, (taken_, refused_) in sorted(micros.items())
    )


def _take(
    connection: Connection,
    claims: Claims,
    worker_id: str,
    reservations: Reservations,
    due: Due,
) -> dict[int, int]:
    """Move what is due of *claims* to running, and write the intents."""
    rows = [
        (hint.job_id, hint.dispatch_no, fingerprint, _micros(reservations, hint.job_id))
        for hint, fingerprint in claims
    ]
    if connection.dialect.name != "sqlite":
        taken = due.take_and_intend.fetch(connection, {"claims": rows}, worker_id=worker_id)
        return dict(map(tuple, taken))
    taken = due.take.fetch(connection, {"claims": rows}, worker_id=worker_id)
    if taken:
        claimed = [(job, fence, _micros(reservations, job)) for job, fence in taken]
        _intend.run(connection, {"claimed": claimed}, worker_id=worker_id)
    return dict(map(tuple, taken))


def _micros(reservations: Reservations, job_id: int) -> int | None:
    asked = reservations.get(job_id)
    return None if asked is None else asked.micros


def claimed_before(connection: Connection, claims: Claims, *, worker_id: str) -> dict[int, int]:
    """Find the jobs of these hints that *worker_id* holds: a commit whose answer was lost."""
    rows = [(hint.job_id, hint.dispatch_no, fingerprint, None) for hint, fingerprint in claims]
    found = _claimed_before.fetch(connection, {"claims": rows}, worker_id=worker_id)
    return dict(map(tuple, found))
