"""The response cache: a job takes the answer of an equal request, or waits for it, unasked.

Redis tells a worker which job was asked the same, and is not believed. One statement checks that
the request is equal, of the same tenant, cut and masked alike, and that the answer is there and
young enough, or will come. A similar request is one whose entry (`moves.similar`) is of the same
scope.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from promptmill.schema.connection import Connection
from promptmill.schema.hint import Hint
from promptmill.schema.lanes import LANE_AT
from promptmill.schema.moves.twins import NEVER_S, copy_ends
from promptmill.schema.statement import Column, RowSet, Statement
from promptmill.schema.states import JobState


@dataclass(frozen=True, slots=True)
class Likeness:
    """How similar two requests are whose texts differ."""

    scope: str
    """hash of all that is equal"""
    similarity: float
    """cosine of their vectors"""
    embedder: str
    """what made the vectors"""


@dataclass(frozen=True, slots=True)
class Wish:
    """A job by its hint, and the job whose answer it would take."""

    hint: Hint
    other: int
    likeness: Likeness | None = None
    """None: their requests are equal"""


class Followed(Enum):
    """What came of a wish."""

    ANSWERED = "answered"
    WAITS = "waits"
    """the other is still to be answered"""
    REFUSED = "refused"
    """the other has no answer for it, and will have none"""
    STALE = "stale"
    """the hint is no longer good"""


_WISHES = RowSet(
    "wishes",
    (
        Column("job_id", "bigint"),
        Column("dispatch_no", "integer"),
        Column("other", "bigint"),
        Column("scope", "text"),
        Column("similarity", "double precision"),
    ),
)
_LIKE = RowSet(
    "alike",
    (
        Column("job_id", "bigint"),
        Column("other", "bigint"),
        Column("similarity", "double precision"),
        Column("embedder", "text"),
    ),
)
_NAMED = "jobs.id = wishes.job_id and jobs.dispatch_no = wishes.dispatch_no and"
# What is answered by a provider's batch API, or will be, is answered within a day.
_SOON = f"""(+o.state = 1 or +o.state = 3 and o.run_at < {LANE_AT}
  or +o.state = 0 and ob.lane = 'live'
  or +o.state = 2 and not exists (select 1 from provider_batches p where p.id = o.lease_owner))"""

# One statement for both ends, since two would lock the counters in two orders. Whose hint it was
# has no hint any more. A twin is never followed, or two could wait for each other;
# nor one that fell back: another model answers it. Who answered is who was asked of the other.
_FOLLOW = """
update jobs set state = case o.state when 4 then 4 else 3 end,
  fence = jobs.fence + case o.state when 4 then 1 else 0 end,
  dispatch_no = jobs.dispatch_no + 1, twin_of = o.id, queued_at = null,
  provider = case o.state when 4 then o.provider else jobs.provider end,
  pool = case o.state when 4 then o.pool else jobs.pool end,
  run_at = case when o.state <> 4 then {after:cast(:never_s as float)} end,
  finished_at = case when o.state = 4 then {now} end
from {wishes} cross join jobs o cross join batches ob cross join job_payloads op
left join results r on r.job_id = o.id
cross join job_payloads p cross join batches b
where DUE and p.job_id = wishes.job_id and b.id = jobs.batch_id and b.state = 'open'
  and o.id = wishes.other and o.id <> jobs.id and o.twin_of is null
  and o.fell_back_from is null and ob.id = o.batch_id
  and coalesce(ob.tenant_id, 0) = coalesce(b.tenant_id, 0)
  and op.job_id = o.id and (wishes.scope is null and op.request_hash = p.request_hash
    or wishes.similarity >= b.cache_similar and exists (select 1 from similar_entries e
      where e.job_id = o.id and e.scope = wishes.scope))
  and coalesce(ob.truncate, '') = coalesce(b.truncate, '')
  and coalesce(ob.max_input_tokens, 0) = coalesce(b.max_input_tokens, 0)
  and coalesce(ob.mask_pii, '') = coalesce(b.mask_pii, '')
  and (+o.state = 4 and r.created_at > {after:-b.cache_s}
    and (b.on_invalid = 'keep' or not exists (select 1 from result_checks c
      where c.job_id = o.id and c.validity = 'invalid'))
    or (+o.state = 2 or +o.state in (0, 1, 3) and ob.state = 'open') and WAITS)
returning jobs.id, jobs.state"""
_keep_likeness = Statement(
    """
insert into similar_hits (job_id, twin_of, similarity, embedder, made_at)
select alike.job_id, alike.other, alike.similarity, alike.embedder, {now} from {alike}
where true on conflict (job_id) do update set twin_of = excluded.twin_of,
  similarity = excluded.similarity, embedder = excluded.embedder, made_at = excluded.made_at""",
    _LIKE,
)


@dataclass(frozen=True, slots=True)
class Way:
    """By which way jobs come, and the statements that let those follow."""

    follow: Statement
    still_due: Statement


def _way(due: str, waits: str) -> Way:
    whole = f"{_NAMED} {due}"
    return Way(
        Statement(_FOLLOW.replace("DUE", whole).replace("WAITS", waits), _WISHES),
        Statement(f"select jobs.id from {{wishes}} join jobs on {whole}", _WISHES),
    )


HINTED = _way("(+jobs.state = 1 or +jobs.state = 3 and jobs.run_at <= {now})", _SOON)
"""by a hint; such a job waits for none that is asked by a batch API"""
LANED = _way(
    f"+jobs.state = 3 and jobs.run_at = {LANE_AT}",
    f"(o.batch_id = jobs.batch_id or b.deadline_at is null or {_SOON})",
)
"""by the lane; one of a batch with a deadline waits for none of another batch's there"""


def follow(
    connection: Connection, wishes: Sequence[Wish], *, way: Way = HINTED
) -> dict[int, Followed]:
    """Let jobs take the answer of the other that each names, or wait for it.

    Returns what came of each, by its job.
    """
    rows = [_row(wish) for wish in wishes]
    moved = {
        row[0]: JobState(row[1])
        for row in way.follow.fetch(connection, {"wishes": rows}, never_s=NEVER_S)
    }
    copy_ends(connection, {job: end for job, end in moved.items() if end is JobState.SUCCEEDED})
    alike = [
        (wish.hint.job_id, wish.other, wish.likeness.similarity, wish.likeness.embedder)
        for wish in wishes
        if wish.likeness and wish.hint.job_id in moved
    ]
    if alike:
        _keep_likeness.run(connection, {"alike": alike})
    missed = [row for row in rows if row[0] not in moved]
    due = way.still_due.fetch(connection, {"wishes": missed}) if missed else []
    still_due = {row[0] for row in due}
    asked = [wish.hint.job_id for wish in wishes]
    return {job_id: _came_of(moved.get(job_id), job_id in still_due) for job_id in asked}


def _row(wish: Wish) -> tuple[object, ...]:
    alike = wish.likeness
    scope, similarity = (alike.scope, alike.similarity) if alike else (None, None)
    return (wish.hint.job_id, wish.hint.dispatch_no, wish.other, scope, similarity)


def _came_of(moved_to: JobState | None, is_due: bool) -> Followed:
    match moved_to:
        case JobState.SUCCEEDED:
            return Followed.ANSWERED
        case None:
            return Followed.REFUSED if is_due else Followed.STALE
        case _:
            return Followed.WAITS
