"""Provider batches: what lies at a provider's batch API, or is on its way there or back.

    filling   jobs are claimed for it; nothing of it is at the provider
    whole     no more jobs; from `tried_at` on the provider may have it
    sent      the provider has it, by `provider_id`
    ended     none of its jobs runs any more

It owns its jobs as a worker owns those it calls: its id is in `jobs.lease_owner` and in
`attempts.worker_id`. So which jobs are in it need not be written twice, and what is missing from
its results is what still runs under its name.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import msgspec

from promptmill.schema.connection import Connection
from promptmill.schema.instants import known_instant, parse_instant
from promptmill.schema.lanes import IN_LANE, LANE_AT, Lane, LaneTerms
from promptmill.schema.reading import DueJob, due_columns
from promptmill.schema.statement import Column, RowSet, Statement
from promptmill.schema.stretch import stretch


class ProviderBatch(msgspec.Struct, frozen=True):
    """A provider batch that has not ended."""

    id: str
    batch_id: int
    provider: str
    model: str
    endpoint: str
    fingerprint: str
    state: str
    jobs: int
    tokens: int
    provider_id: str | None
    done: int
    problem: str | None
    made_at: datetime
    sent_at: datetime | None
    tries: int
    tried_s: float | None
    """since it was last asked for by its key, and may be there; None: it is surely not there"""
    is_recalled: bool
    """it was told to come back unfinished"""
    is_unwanted: bool
    """its batch was cancelled"""
    is_paused: bool
    """its batch is: nothing more of that is begun"""


class LanedScope(msgspec.Struct, frozen=True):
    """Jobs of one batch and model that wait for a provider batch."""

    batch_id: int
    model: str
    jobs: int
    """as many as were counted"""


class InBatch(msgspec.Struct, frozen=True):
    """A job that runs in a provider batch."""

    fence: int
    job: DueJob


_SINCE = {
    "sqlite": "(julianday({now}) - julianday(%s)) * 86400.0",
    "postgresql": "extract(epoch from {now} - %s)::double precision",
}


_NEXT = stretch(IN_LANE, "id", bound="> :after")


def _by_dialect(sql: str, *row_sets: RowSet, in_order: bool = False) -> dict[str, Statement]:
    """Write `{job}` (a `DueJob`), `{since:x}` (seconds since x) and `{next}` for each engine."""
    found = {}
    for dialect, since in _SINCE.items():
        said = sql.replace("{job}", due_columns(dialect)).replace("{next}", _NEXT[dialect])
        for instant in ("p.tried_at", "b.deadline_at"):
            said = said.replace(f"{{since:{instant}}}", since % instant)
        found[dialect] = Statement(said, *row_sets, in_order=in_order)
    return found


_JOBS = RowSet("wanted", (Column("job_id", "bigint"), Column("fence", "bigint")))
_terms = _by_dialect(
    "select b.id, b.lane, -({since:b.deadline_at}) from batches b"
    " where b.lane <> 'live' and b.state = 'open' and b.carried is null"
)
_is_needed = Statement(
    """
select 1 where exists (select 1 from batches
    where lane <> 'live' and state = 'open' and carried is null)
  or exists (select 1 from provider_batches where ended_at is null and provider = :provider)"""
)
_open = _by_dialect(
    """
select p.id, p.batch_id, p.provider, p.model, p.endpoint, p.fingerprint, p.state, p.jobs, p.tokens,
  p.provider_id, p.done, p.problem, p.made_at, p.sent_at, p.tries,
  {since:p.tried_at}, p.recalled_at is not null, b.state = 'cancelled', b.state = 'paused'
from provider_batches p join batches b on b.id = p.batch_id
where p.ended_at is null and (:provider = '' or p.provider = :provider)
  and (:batch_id = 0 or p.batch_id = :batch_id)
order by p.made_at, p.id"""
)
_laned = Statement(
    f"""
select c.batch_id, c.model, (select count(*) from (select 1 from jobs j
    where j.batch_id = c.batch_id and j.provider = c.provider and j.model = c.model
      and j.state = 3 and j.run_at >= {LANE_AT} limit :most) as counted)
from batches b join batch_counts c on c.batch_id = b.id
where b.lane <> 'live' and b.state = 'open' and b.carried is null
  and c.provider = :provider and c.state = 3 and c.jobs > 0
order by b.priority desc, b.id, c.model"""
)
_waiting = _by_dialect(
    """{job}
from (select * from jobs {next} limit :most) as j
join batches b on b.id = j.batch_id
join job_payloads p on p.job_id = j.id""",
    in_order=True,
)
_of = _by_dialect(
    """{job}, j.fence
from (select * from jobs where lease_owner = :owner and state = 2 and id > :after
  order by id limit :most) as j
join batches b on b.id = j.batch_id
join job_payloads p on p.job_id = j.id order by j.id"""
)
_these_of = _by_dialect(
    """{job}, j.fence
from {wanted} join jobs j on j.id = wanted.job_id and j.fence = wanted.fence and +j.state = 2
  and j.lease_owner = :owner
join batches b on b.id = j.batch_id
join job_payloads p on p.job_id = j.id""",
    _JOBS,
)
_make = Statement(
    """
insert into provider_batches (id, batch_id, provider, model, endpoint, fingerprint, state, made_at)
values (:id, :batch_id, :provider, :model, :endpoint, :fingerprint, 'filling', {now})"""
)
_fill = Statement(
    "update provider_batches set jobs = jobs + :jobs, tokens = tokens + :tokens"
    " where id = :id and state = 'filling'"
)
_close = Statement("update provider_batches set state = 'whole' where id = :id and state='filling'")
_try = Statement(
    "update provider_batches set tried_at = {now}, tries = tries + 1, fingerprint = :fingerprint"
    " where id = :id and state = 'whole' and tries = :tries"
)
_not_there = Statement(
    "update provider_batches set tried_at = null, problem = :problem"
    " where id = :id and state = 'whole'"
)
_sent = Statement(
    "update provider_batches set state = 'sent', provider_id = :provider_id, sent_at = {now},"
    " problem = null where id = :id and state = 'whole'"
)
_tell = Statement(
    "update provider_batches set done = :done, problem = :problem"
    " where id = :id and ended_at is null and (done <> :done or coalesce(problem, '') <> :seen)"
)
_end = Statement(
    "update provider_batches set state = 'ended', ended_at = {now}, problem = :problem"
    " where id = :id and ended_at is null"
)
_recall = Statement(
    "update provider_batches set recalled_at = {now}"
    " where batch_id = :batch_id and ended_at is null and recalled_at is null"
)
_taken_ids = Statement(
    "select provider_id from provider_batches where provider = :provider"
    " and provider_id is not null and id <> :id and made_at >= {after:-:over_s}"
)


def lane_terms(connection: Connection) -> dict[int, LaneTerms]:
    """Read what the open batches that are not live were told, by batch."""
    rows = _terms[connection.dialect.name].fetch(connection)
    return {row[0]: LaneTerms(Lane(row[1]), row[2]) for row in rows}


def lane_is_needed(connection: Connection, provider: str) -> bool:
    """Say whether there may be anything to do for the lane of *provider*."""
    return bool(_is_needed.fetch(connection, provider=provider))


def open_provider_batches(
    connection: Connection, *, provider: str = "", batch_id: int = 0
) -> list[ProviderBatch]:
    """List what has not ended, the oldest first: of a provider, of a batch, or of all."""
    rows = _open[connection.dialect.name].fetch(connection, provider=provider, batch_id=batch_id)
    return [_provider_batch(row) for row in rows]


def laned_scopes(connection: Connection, provider: str, *, most: int) -> list[LanedScope]:
    """List where jobs wait for a provider batch, by priority; of each, *most* are counted."""
    rows = _laned.fetch(connection, provider=provider, most=most)
    return [LanedScope(*row) for row in rows if row[2]]


def laned_jobs(
    connection: Connection, *, batch_id: int, provider: str, model: str, after: int, most: int
) -> list[DueJob]:
    """Read the next jobs of a scope that wait for a provider batch, by their ids above *after*."""
    rows = _waiting[connection.dialect.name].fetch(
        connection, batch_id=batch_id, provider=provider, model=model, after=after, most=most
    )
    return sorted((DueJob(*row) for row in rows), key=lambda job: job.job_id)


def jobs_in(connection: Connection, owner: str, *, after: int = 0, most: int) -> list[InBatch]:
    """Read the jobs that run in a provider batch, by their ids above *after*."""
    rows = _of[connection.dialect.name].fetch(connection, owner=owner, after=after, most=most)
    return [InBatch(row[-1], DueJob(*row[:-1])) for row in rows]


def these_in(
    connection: Connection, owner: str, wanted: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], InBatch]:
    """Read those of (job id, fence) that run in a provider batch."""
    rows = _these_of[connection.dialect.name].fetch(connection, {"wanted": wanted}, owner=owner)
    return {(row[0], row[-1]): InBatch(row[-1], DueJob(*row[:-1])) for row in rows}


def make_provider_batch(
    connection: Connection,
    provider_batch: str,
    *,
    batch_id: int,
    provider: str,
    model: str,
    endpoint: str,
    fingerprint: str,
) -> None:
    """Begin to fill one."""
    _make.run(
        connection,
        id=provider_batch,
        batch_id=batch_id,
        provider=provider,
        model=model,
        endpoint=endpoint,
        fingerprint=fingerprint,
    )


def fill(connection: Connection, provider_batch: str, *, jobs: int, tokens: int) -> bool:
    """Count jobs that were claimed for it. False: it takes no more."""
    return bool(_fill.run(connection, id=provider_batch, jobs=jobs, tokens=tokens))


def close_up(connection: Connection, provider_batch: str) -> bool:
    """Say that it is whole."""
    return bool(_close.run(connection, id=provider_batch))


def intend(connection: Connection, one: ProviderBatch, *, fingerprint: str) -> bool:
    """Say that it is asked for at the provider now, by this key. False: somebody else did since
    it was read.
    """
    return bool(_try.run(connection, id=one.id, tries=one.tries, fingerprint=fingerprint))


def not_there(connection: Connection, provider_batch: str, problem: str | None) -> None:
    """Say that the provider surely does not have it."""
    _not_there.run(connection, id=provider_batch, problem=problem)


def sent(connection: Connection, provider_batch: str, provider_id: str) -> bool:
    """Say how the provider calls it."""
    return bool(_sent.run(connection, id=provider_batch, provider_id=provider_id))


def tell(connection: Connection, one: ProviderBatch, *, done: int, problem: str | None) -> None:
    """Note how far it is, and what the last look met."""
    _tell.run(connection, id=one.id, done=done, problem=problem, seen=problem or "")


def end(connection: Connection, provider_batch: str, problem: str | None) -> None:
    """End it. What still runs in it is rescued as from a dead worker."""
    _end.run(connection, id=provider_batch, problem=problem)


def recall(connection: Connection, batch_id: int) -> int:
    """Let the provider batches of a batch come back, whatever is done of them."""
    return _recall.run(connection, batch_id=batch_id)


def known_at(connection: Connection, one: ProviderBatch, *, over_s: float) -> Collection[str]:
    """List how the provider calls its other batches that were made in the last *over_s*."""
    rows = _taken_ids.fetch(connection, provider=one.provider, id=one.id, over_s=over_s)
    return {row[0] for row in rows}


def _provider_batch(row: Sequence[Any]) -> ProviderBatch:
    made_at, sent_at, tries, tried_s, is_recalled, is_unwanted, is_paused = row[12:]
    instants = (known_instant(made_at), parse_instant(sent_at))
    told = (bool(is_recalled), bool(is_unwanted), bool(is_paused))
    values = (*row[:12], *instants, tries, tried_s, *told)
    return ProviderBatch(*values)
