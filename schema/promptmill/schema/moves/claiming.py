"""Take due jobs: queued (or waiting and due) to running, with the intent in the same commit."""

from collections.abc import Sequence

from sqlalchemy import Connection

from promptmill.schema.hint import Hint
from promptmill.schema.statement import Column, RowSet, Statement

_CLAIMS = RowSet(
    "claims",
    (Column("job_id", "bigint"), Column("dispatch_no", "integer"), Column("fingerprint", "text")),
)
_CLAIMED = RowSet("claimed", (Column("job_id", "bigint"), Column("fence", "bigint")))

# A day that is used up keeps back what is not booked yet: what was booked of it is still called.
_TAKE = """
update jobs set state = 2, fence = fence + 1, lease_owner = :worker_id, queued_at = null,
  run_at = null
from {claims}, batches b
where jobs.id = claims.job_id and jobs.dispatch_no = claims.dispatch_no
  and (+jobs.state = 1 or +jobs.state = 3 and jobs.run_at <= {now})
  and b.id = jobs.batch_id and b.state = 'open'
  and not exists (select 1 from pauses p where p.provider = jobs.provider and p.kind <> 'daily'
    and p.model in ('', jobs.model) and p.fingerprint in ('', claims.fingerprint)
    and (p.until_at is null or p.until_at > {now}))
  and not exists (select 1 from workers w where w.id = :worker_id and w.stopped_at is not null)
"""
_INTEND = """
insert into attempts (job_id, fence, batch_id, provider, model, worker_id, started_at, outcome)
select j.id, j.fence, j.batch_id, j.provider, j.model, :worker_id, {now}, 0
"""

_take_sqlite = Statement(_TAKE + "returning jobs.id, jobs.fence", _CLAIMS)
_intend_sqlite = Statement(
    _INTEND + "from {claimed} join jobs j on j.id = claimed.job_id and j.fence = claimed.fence",
    _CLAIMED,
)
_take_and_intend_postgresql = Statement(
    f"with j as ({_TAKE} returning jobs.id, jobs.fence, jobs.batch_id, jobs.provider, jobs.model)"
    f"{_INTEND} from j returning job_id, fence",
    _CLAIMS,
)

_claimed_before = Statement(
    """
select jobs.id, jobs.fence from {claims}
join jobs on jobs.id = claims.job_id and jobs.dispatch_no = claims.dispatch_no
where +jobs.state = 2 and jobs.lease_owner = :worker_id""",
    _CLAIMS,
)


def claim(
    connection: Connection, claims: Sequence[tuple[Hint, str]], *, worker_id: str
) -> dict[int, int]:
    """Claim jobs by their hints, each with the fingerprint of the key that will be used.

    Returns the new fence of each job that was claimed. One that is missing was stale, not due,
    paused or cancelled; whoever holds it now is somebody else. A worker that was declared dead
    claims nothing under that name: the next sweep would take the job from it, with the call open.
    """
    rows = [(hint.job_id, hint.dispatch_no, fingerprint) for hint, fingerprint in claims]
    if connection.dialect.name != "sqlite":
        taken = _take_and_intend_postgresql.fetch(connection, {"claims": rows}, worker_id=worker_id)
        return dict(map(tuple, taken))
    taken = _take_sqlite.fetch(connection, {"claims": rows}, worker_id=worker_id)
    if taken:
        _intend_sqlite.run(connection, {"claimed": taken}, worker_id=worker_id)
    return dict(map(tuple, taken))


def claimed_before(
    connection: Connection, claims: Sequence[tuple[Hint, str]], *, worker_id: str
) -> dict[int, int]:
    """Find the jobs of these hints that *worker_id* holds: a commit whose answer was lost."""
    rows = [(hint.job_id, hint.dispatch_no, fingerprint) for hint, fingerprint in claims]
    found = _claimed_before.fetch(connection, {"claims": rows}, worker_id=worker_id)
    return dict(map(tuple, found))
